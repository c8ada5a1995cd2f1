"""A continuous-batching scheduler of Transformers that asks a policy whom to admit.

Of the engine's own scheduler nothing is copied. Its candidates for a batch are those who run, and
then those who wait, one after the other; here the walk over those who wait ends with the policy's
last admission.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, ClassVar

from kvsteady.admission import Setup
from kvsteady.plugins.metrics import metrics_of
from kvsteady.plugins.ranks import Answer, Ranks
from kvsteady.plugins.regulator import Regulator, say_aside
from kvsteady.plugins.settings import Settings
from kvsteady.plugins.transformers.engine import find_helper, processes, why_not
from kvsteady.plugins.transformers.watch import Watch


class Steadied:
    """What is put before one of the engine's scheduler classes: see `scheduler_class`.

    ``scheduler.regulator`` has the ledger and says why it stepped aside; None where it could not
    begin.
    """

    settings: ClassVar[Settings]
    version: ClassVar[str]

    # Of the engine's class.
    cache: Any
    active_requests: dict[str, Any]
    waiting_requests: dict[str, Any]
    block_new_requests: bool

    def __init__(
        self, cache: Any, safety_margin: float | None, max_requests_per_batch: int
    ) -> None:
        self._watch: Watch | None = None  # while `reset` is called
        super().__init__(cache, safety_margin, max_requests_per_batch)  # type: ignore[call-arg]  # the engine's class
        self._start(safety_margin is None, find_helper())

    def _start(self, default_margin: bool, helper: Any) -> None:
        self.regulator: Regulator | None = None
        self._watch = None
        self._ranks: Ranks | None = None  # to agree with
        self._metrics: Any = None
        self._quota: int | None = None  # None: the engine's own rule
        self._again = False  # no batch came of the last attempt
        self._waiting = 0  # candidates of the queue in this attempt
        self._default_margin = default_margin
        try:
            why = self._why_not(helper)
        except Exception as error:  # whatever it is, the engine goes on
            why = f"it could not begin: {type(error).__name__}: {error}"
        if helper is not None and helper.tp_size > 1:
            why = self._why_not_together(why, helper.cpu_comm_group)
        if why is not None:
            self._watch = None
            if self.regulator is None:
                say_aside(why)
            else:
                self.regulator.step_aside(why)

    def _end(self) -> None:
        """Say that nobody is asked any more, without a warning: somebody wanted it so."""
        if self.regulator is not None and self.regulator.why_aside is None:
            self.regulator.why_aside = "it was detached"
        if self._metrics is not None:
            self._metrics.update()

    def _why_not(self, helper: Any) -> str | None:
        """Begin, or say why not."""
        why = why_not(self.version, type(self).__mro__[2], self.cache)
        if why is not None:
            return why
        if helper is None and processes() > 1:
            return "there are several processes, and it does not find out which schedule together"
        page = self.cache.cache_allocators["full_attention"].tokens_per_page
        regulator = Regulator(self.settings, Setup(self.cache.num_blocks * page, page))
        self._watch = Watch(self, regulator)
        self.regulator = regulator
        if self.settings.metrics:
            rank = 0 if helper is None else helper.global_rank
            self._metrics = metrics_of(regulator, engine="transformers", rank=rank)
        return None

    def _why_not_together(self, why: str | None, group: Any) -> str | None:
        """Whether all tensor-parallel ranks begin."""
        try:
            ranks = Ranks(group)
            why = ranks.why_not(why, repr(self.settings))
        except Exception as error:  # the engine's own group is gone
            return f"it could not begin: {type(error).__name__}: {error}"
        if why is None and self.settings.mode == "enforce":
            self._ranks = ranks
        return why

    def _tell(self, what: Callable[..., None], *about: Any) -> None:
        """Let the watch know; if it fails, nothing is watched any more."""
        try:
            what(*about)
        except Exception as error:  # whatever it is, the engine goes on
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Step aside at once; where several ranks schedule, with them, at the next batch."""
        if self._ranks is None:
            self._watch = self._quota = None
        if self.regulator is not None:
            self.regulator.step_aside(f"it failed: {type(error).__name__}: {error}")
        if self._metrics is not None:
            self._metrics.update()

    # The engine's methods, with a word before or after.

    def reset(self) -> None:
        """Forget all requests."""
        super().reset()  # type: ignore[misc]  # the engine's class
        if self._watch is not None:
            self._again, self._quota = False, None
            self._tell(self._watch.forget)

    def add_waiting_request(self, state: Any) -> None:
        """Put a request into the queue: a new one, or one that was evicted."""
        super().add_waiting_request(state)  # type: ignore[misc]  # the engine's class
        if self._watch is not None:
            self._tell(self._watch.came, state)

    def finish_request(self, request_id: str) -> None:
        """Take a request out of memory: complete, given up, or evicted."""
        state = self.active_requests.get(request_id)
        super().finish_request(request_id)  # type: ignore[misc]  # the engine's class
        if self._watch is not None and state is not None:
            self._tell(self._watch.leaves, state)

    def clear_cancelled_requests(self) -> Any:
        """Drop who was cancelled, wherever they are."""
        cancelled = super().clear_cancelled_requests()  # type: ignore[misc]  # the engine's class
        for state in cancelled:
            if self._watch is not None:  # it may fail at one of them
                self._tell(self._watch.cancelled, state.request_id)
        return cancelled

    def schedule_batch(self, token_budget: int, cache_budget: int) -> Any:
        """Plan a batch; the policy is asked once for each, however many attempts it takes."""
        if not self._again:
            self._ask()
        self._waiting = 0
        planned = super().schedule_batch(token_budget, cache_budget)  # type: ignore[misc]  # the engine's class
        self._again = planned[0] is None
        if self._watch is not None and not self._again:
            self._tell(self._take_down, planned)
        return planned

    def _ask(self) -> None:
        """Ask the policy; where several ranks do, the least that one allows holds on all."""
        self._quota = None
        if self._watch is not None:
            self._tell(self._decide)
        if self._ranks is not None:
            self._quota = self._agreed(self._ranks)

    def _agreed(self, ranks: Ranks) -> int | None:
        assert self.regulator is not None
        gone = self.regulator.why_aside is not None
        try:
            agreed = ranks.least(Answer(self._quota, last=gone))
        except Exception as error:  # a rank is gone: there is nobody to agree with
            self._ranks = None
            self._fail(error)
            return None
        if agreed.last:
            self._ranks = None
            self.regulator.step_aside("another rank does")
            return None
        return agreed.limit

    def _decide(self) -> None:
        assert self._watch is not None
        assert self.regulator is not None
        self._watch.begin()
        self._quota = self.regulator.limit(self._watch.fill)

    def _take_down(self, planned: Any) -> None:
        assert self._watch is not None
        scheduled, _, tokens, _ = planned
        self._watch.end(scheduled, tokens)
        if self._metrics is not None:
            self._metrics.step()

    def _get_waiting_candidates(self) -> Any:
        if self._allowed() == 0:
            return []
        waiting = super()._get_waiting_candidates()  # type: ignore[misc]  # the engine's class
        self._waiting = len(waiting)
        return waiting

    def _process_candidates(self, candidates: Any, *rest: Any) -> Any:
        if self._quota is not None and self._waiting:
            first = len(candidates) - self._waiting
            candidates = chain(candidates[:first], self._as_allowed(candidates[first:]))
        return super()._process_candidates(candidates, *rest)  # type: ignore[misc]  # the engine's class

    def _as_allowed(self, waiting: Any) -> Iterator[Any]:
        """Those who wait, until as many were admitted as may be."""
        for state in waiting:
            if self._allowed() == 0:
                return
            yield state

    def _allowed(self) -> int | None:
        """How many more may be admitted in this iteration; None: no limit."""
        if self._quota is None or self._watch is None:
            return None
        return max(self._quota - self._watch.admitted, 0)

    def _try_to_meet_safety_margin(self) -> Any:
        """The engine's margin; where nobody set one, the policy stands in for it.

        Pages that are kept for the prefix in them make way for those who run and for those whom
        the policy admits: else nobody would come in before one of those who run finds no page.
        """
        met = super()._try_to_meet_safety_margin()  # type: ignore[misc]  # the engine's class
        allowed = self._allowed()
        if allowed is None:
            return met
        self._tell(self._make_way, 0 if self.block_new_requests else allowed)
        return met or (self._default_margin and self._watch is not None)

    def _make_way(self, allowed: int) -> None:
        assert self._watch is not None
        if self._watch.kept() and self._watch.wanted(allowed) > self._watch.free():
            self.cache.evict_cached_blocks()
            self.cache.pool.try_to_free_sectors()


def scheduler_class(base: type, settings: Settings, version: str) -> type:
    """One of the engine's scheduler classes with a policy before it."""
    return type(
        f"Steady{base.__name__}",
        (Steadied, base),
        {"settings": settings, "version": version},
    )


def attach(processor: Any, settings: Settings, version: str) -> None:
    """Put a policy before the scheduler of a batch processor, between two batches."""
    own = type(processor.scheduler)
    _exchange(processor, scheduler_class(own, settings, version))
    processor.scheduler._start(False, processor.distributed_helper)


def detach(processor: Any) -> None:
    """Give the scheduler of a batch processor back to the engine's own rule."""
    processor.scheduler._end()
    _exchange(processor, type(processor.scheduler).__mro__[2])


def _exchange(processor: Any, kind: type) -> None:
    """Let a scheduler of another class go on with the same requests."""
    other: Any = object.__new__(kind)
    other.__dict__ = processor.scheduler.__dict__
    processor.scheduler = processor.offloading_manager.scheduler = other


def checked(settings: Settings) -> Settings:
    """The settings, if their policy can start.

    Raises
    ------
    InputError
        It cannot, say for want of a rate.
    """
    settings.make_policy().start(Setup(1 << 16, 16))
    return settings
