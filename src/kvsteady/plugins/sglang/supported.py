"""Which versions of SGLang are known, and in which of its modes a policy keeps out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any, Final

VERSIONS: Final = ("0.5.23",)
"""Versions that the adapter was tested with; with others it steps aside."""

SCHEDULER: Final = "sglang.srt.managers.scheduler.Scheduler"
ADDER: Final = "sglang.srt.managers.schedule_policy.PrefillAdder"

# What is hooked or overridden, with the arguments that are relied on.
_CALLED: Final = {
    f"{SCHEDULER}.__init__": ("self",),
    f"{SCHEDULER}._should_defer_prefill": ("self", "running_batch"),
    f"{SCHEDULER}.get_prefill_adder_class": ("self",),
    f"{SCHEDULER}.get_next_batch_to_run": ("self", "running_batch", "last_batch"),
    f"{SCHEDULER}.get_num_allocatable_reqs": ("self", "running_bs"),
    f"{ADDER}.budget_state": ("self",),
    f"{ADDER}.add_one_req": ("self", "req"),
    f"{ADDER}.add_one_req_ignore_eos": ("self", "req"),
    f"{ADDER}.add_chunked_req": ("self", "req"),
    f"{ADDER}._get_running_request_total_token_offset": ("self", "req"),
}


def why_not_version() -> str | None:
    """Why the installed SGLang is not one that the adapter knows; None where it is."""
    try:
        version = metadata.version("sglang")
    except metadata.PackageNotFoundError:
        return "SGLang is not installed"
    if version not in VERSIONS:
        return f"SGLang {version} is not one of those it knows ({', '.join(VERSIONS)})"
    for path, wanted in _CALLED.items():
        where, _, name = path.rpartition(".")
        module, _, kind = where.rpartition(".")
        called = getattr(getattr(import_module(module), kind, None), name, None)
        if called is None:
            return f"SGLang {version} has no {kind}.{name}"
        has = list(inspect.signature(called).parameters)[: len(wanted)]
        if has != list(wanted):
            return f"{kind}.{name} of SGLang {version} takes {has}"
    return None


# Modes in which memory or the queue is not what a policy is shown.
_LEFT_ALONE: Final[tuple[tuple[str, Callable[[Any], Any]], ...]] = (
    ("disaggregated prefill and decode", lambda s: s.disaggregation_mode.value != "null"),
    ("speculative decoding", lambda s: not s.spec_algorithm.is_none()),
    ("DP attention", lambda s: s.require_mlp_sync),
    ("a prefill delayer", lambda s: s.prefill_delayer is not None),
    ("a diffusion model", lambda s: s.dllm_config is not None),
    ("a model that generates nothing", lambda s: not s.is_generation),
    ("sliding-window memory", lambda s: s.is_hybrid_swa),
    ("state-space memory", lambda s: s.is_hybrid_ssm),
    ("hierarchical cache", lambda s: s.enable_hierarchical_cache),
    ("LMCache", lambda s: s.enable_lmcache),
    ("an external cache", lambda s: s.enable_unified_cache_external_linker),
    ("HiSparse", lambda s: s.enable_hisparse),
    ("sharded KV pages", lambda s: s.kv_shard_widening != 1),
    ("multiplexed prefill and decode", lambda s: s.enable_pdmux),
    ("MLX", lambda s: s.enable_overlap_mlx),
)


def why_not_mode(scheduler: Any) -> str | None:
    """Which mode of a scheduler the adapter keeps out of; None: none.

    Raises
    ------
    AttributeError
        The scheduler is not what it was in the versions known.
    """
    if pipeline_stages() > 1:
        return "pipeline parallelism is a mode it leaves alone"
    for name, holds in _LEFT_ALONE:
        if holds(scheduler):
            return f"{name} is a mode it leaves alone"
    return None


def pipeline_stages() -> int:
    """Pipeline stages of this process's engine."""
    return int(import_module("sglang.srt.runtime_context").get_parallel().pp_size)


def replica_of() -> int:
    """Which of several data-parallel replicas this process belongs to; 0 where there is one."""
    try:
        return int(import_module("sglang.srt.runtime_context").get_parallel().dp_rank or 0)
    except (RuntimeError, ValueError, AttributeError):
        return 0
