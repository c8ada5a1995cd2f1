"""vLLM's scheduler with a policy at its gate: ``--scheduler-cls``'s class.

vLLM admits from its queue while fewer run than a limit. Around each ``schedule()`` that limit is
lowered to who runs and as many as the policy allows; everything else is vLLM's own code. No request
is admitted in an iteration with a preemption, so those who run do not become fewer in between.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import vllm
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from kvsteady.errors import InputError
from kvsteady.plugins.metrics import Metrics, metrics_of
from kvsteady.plugins.regulator import LOG, Regulator, say_aside
from kvsteady.plugins.settings import Settings, read_settings
from kvsteady.plugins.vllm.versions import about, find_gate, missing
from kvsteady.plugins.vllm.watch import Watch

_OPTION = "--additional-config kvsteady"
# Whatever vLLM's class has, the mixed-in one may use.
_AnyScheduler: Any = Any if TYPE_CHECKING else object


class _Narrowed(_AnyScheduler):  # type: ignore[misc]  # vLLM is untyped here
    """What is the same with and without asynchronous scheduling; stands before vLLM's class."""

    kvsteady: Watch | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _speak_like_vllm()
        self.kvsteady = _watch(self)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """Schedule as vLLM does, its gate narrowed where the policy says so."""
        watch = self.kvsteady
        if watch is None:
            return super().schedule(*args, **kwargs)
        limit = watch.before()
        if limit is None:
            decided = super().schedule(*args, **kwargs)
        else:
            own = getattr(self, watch.gate)
            setattr(self, watch.gate, min(own, limit))
            try:
                decided = super().schedule(*args, **kwargs)
            finally:
                setattr(self, watch.gate, own)
        watch.after(decided)
        return decided

    def add_request(self, request: Any) -> None:
        """Add it as vLLM does, and take down that it came."""
        waited, known = len(self.waiting), len(self.requests)
        super().add_request(request)
        # The next input of a session that is here already is no new request.
        if self.kvsteady is not None and len(self.requests) > known:
            self.kvsteady.arrived(request, len(self.waiting) > waited)

    def _preempt_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if self.kvsteady is not None:
            self.kvsteady.evicting(request)
        return super()._preempt_request(request, *args, **kwargs)

    def _free_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if self.kvsteady is not None:
            self.kvsteady.leaving(request)
        return super()._free_request(request, *args, **kwargs)


class SteadyScheduler(_Narrowed, AsyncScheduler):  # type: ignore[misc]  # vLLM is untyped here
    """vLLM's scheduler with an admission policy.

    ``--scheduler-cls kvsteady.plugins.vllm.SteadyScheduler``, with `Settings` as
    ``--additional-config '{"kvsteady": {"policy": "steady", "mode": "enforce"}}'``. Without
    asynchronous scheduling it makes a `SteadySyncScheduler`.

    Raises
    ------
    InputError
        A setting that there is not, or out of its range.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the one that goes with vLLM's configuration, which may be of another class."""
        config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
        if getattr(config, "diffusion_config", None) is not None:
            return _of_diffusion(config)(*args, **kwargs)
        if cls is SteadyScheduler and not config.scheduler_config.async_scheduling:
            return SteadySyncScheduler(*args, **kwargs)
        return super().__new__(cls)


class SteadySyncScheduler(_Narrowed, Scheduler):  # type: ignore[misc]  # vLLM is untyped here
    """The same where vLLM schedules synchronously, as it does on CPUs."""


def _watch(scheduler: Any) -> Watch | None:
    """What surrounds ``schedule()``; None, with a line in the log, where this vLLM is unknown."""
    config = scheduler.vllm_config
    given = getattr(config, "additional_config", None)
    given = given.get("kvsteady") if isinstance(given, Mapping) else None
    settings = read_settings(given, file=_OPTION)
    gate = find_gate(Scheduler.schedule)
    lacks = missing(scheduler)
    if gate is None or not hasattr(scheduler, gate):
        lacks = "schedule() has no limit of who may run that is known"
    if lacks is None:
        try:
            # Now rather than around schedule(): what cannot be set must not stop a step.
            setattr(scheduler, str(gate), getattr(scheduler, str(gate)))
            watch = Watch(
                scheduler,
                settings,
                str(gate),
                late=max(int(getattr(config, "max_concurrent_batches", 1)) - 1, 0),
                metrics=(lambda regulator: _metrics(regulator, config))
                if settings.metrics and _can_be_read()
                else None,
            )
        except InputError:
            raise
        except Exception as error:  # whatever it is, the engine starts
            lacks = f"it failed: {type(error).__name__}: {error}"
    if lacks is not None:
        say_aside(lacks, f"vLLM {vllm.__version__}")
        return None
    LOG.info(
        "kvsteady: policy %s, %s; narrows %s; %s. %s",
        settings.policy,
        settings.mode,
        gate,
        about(vllm.__version__),
        _about_metrics(settings, watch),
    )
    return watch


def _of_diffusion(config: Any) -> Any:
    """The class of vLLM's own for diffusion models, which generate no token per iteration."""
    from vllm.v1.core.sched import diffusion_scheduler as stock

    LOG.warning("kvsteady steps aside: diffusion models have schedulers of their own")
    if config.scheduler_config.async_scheduling:
        return stock.DiffusionAsyncScheduler
    return stock.DiffusionScheduler


def _metrics(regulator: Regulator, config: Any) -> Metrics | None:
    rank = int(getattr(config.parallel_config, "data_parallel_index", 0) or 0)
    return metrics_of(regulator, engine="vllm", rank=rank)


def _can_be_read() -> bool:
    """Whether anybody serves what this process counts: vLLM's endpoint is in another process,
    unless the engine core runs in the caller's.
    """
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ or multiprocessing.parent_process() is None


def _about_metrics(settings: Settings, watch: Watch) -> str:
    if not settings.metrics:
        return "No metrics, as set"
    if _can_be_read():
        return "Metrics kvsteady_* are with vLLM's" if watch.keeps_metrics else "No metrics"
    return "No metrics: /metrics is of another process, and PROMETHEUS_MULTIPROC_DIR is not set"


def _speak_like_vllm() -> None:
    """Let our lines appear where vLLM's do: nobody else shows those of other packages."""
    ours, theirs = logging.getLogger("kvsteady"), logging.getLogger("vllm")
    if not ours.handlers and not logging.getLogger().handlers:
        for handler in theirs.handlers:
            ours.addHandler(handler)
        ours.setLevel(theirs.level)
