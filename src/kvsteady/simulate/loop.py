"""The life of an engine: arrive, schedule, execute, complete."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.arriving import (
    FLUSH,
    GO,
    LIVELOCK,
    STALLED,
    STOPPED,
    arrive,
    start_iteration,
)
from kvsteady.simulate.completing import complete
from kvsteady.simulate.doors import schedule
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.logging import log_iteration
from kvsteady.simulate.regulating import regulate
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE
from kvsteady.simulate.times.form import iteration_seconds

# Iterations in a row that may compute nothing before an engine is said to have stalled.
_EMPTY = 10_000


@kernel
def advance(engine, memory, policy, view, s, time, iterations):
    """Run so many iterations, or until Python has to do something; returns why (`arriving`)."""
    clock = s.clock
    for _ in range(iterations):
        if clock.now >= clock.stop_time or clock.iteration >= clock.stop_iteration:
            return STOPPED
        if clock.all_completed >= clock.stop_completed:
            return STOPPED
        if not _room_for_rows(s):
            return FLUSH
        why = arrive(s)
        if why != GO:
            return why
        if clock.now >= clock.stop_time:
            return STOPPED
        start_iteration(s)
        regulate(engine, memory, policy, view, s)
        schedule(engine, memory, s)
        started = clock.now
        execute(s, time)
        complete(engine, memory, s)
        log_iteration(s, started)
        if clock.quiet > clock.patience and clock.quiet_preempted > 0:
            return LIVELOCK
        if clock.empty > _EMPTY:
            return STALLED
    return GO


@kernel
def _room_for_rows(s):
    """Everyone that runs may complete, and an iteration may be logged."""
    clock = s.clock
    return clock.out + s.lists[RUNNING].count + s.lists[QUEUE].count < s.outbox.size and (
        clock.logged < s.log.size
    )


@kernel
def execute(s, time):
    """Let the iteration's time pass."""
    clock = s.clock
    clock.last_decode = clock.decoding if clock.ticking == 1 else 0
    clock.last_read = clock.decoding * clock.tick + clock.offsets if clock.ticking == 1 else 0
    clock.least_free = clock.free
    seconds = iteration_seconds(
        time,
        1.0 if clock.prefill_tokens > 0 else 0.0,
        float(clock.prefill_tokens),
        float(clock.last_decode),
        float(clock.last_read),
        clock.prefill_pairs,
    )
    seconds += clock.swapped_tokens * clock.swap_seconds  # nothing is computed meanwhile
    clock.now += seconds
    clock.busy += seconds
    clock.block_seconds += seconds * (clock.total - clock.free)
