"""Count an iteration into the totals and into its row of the log."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE


@kernel
def log_iteration(s, started):
    """Add up what the iteration did; a row of the log stands for ``log_every`` iterations."""
    clock = s.clock
    clock.iteration += 1
    clock.all_admitted += clock.admitted
    clock.all_preempted += clock.preempted
    clock.all_recomputed += clock.recomputed_tokens
    clock.all_swapped += clock.swapped_tokens
    if clock.completed > 0:
        clock.quiet = clock.quiet_preempted = 0
    else:
        clock.quiet += 1
        clock.quiet_preempted += clock.preempted
    idle = clock.prefill_tokens == 0 and (clock.ticking == 0 or clock.last_decode == 0)
    clock.empty = clock.empty + 1 if idle else 0
    if clock.log_every == 0:
        return
    row = s.log[clock.logged]
    if clock.in_row == 0:
        row.start, row.seconds = started, 0.0
        row.admitted = row.preempted = row.completed = 0
        row.prefill_tokens = row.decode_tokens = row.recomputed_tokens = row.kv_read = 0
        row.free_blocks = clock.total
    row.iteration = clock.iteration
    row.seconds += clock.now - started
    row.running, row.waiting = s.lists[RUNNING].count, s.lists[QUEUE].count
    row.admitted += clock.admitted
    row.preempted += clock.preempted
    row.completed += clock.completed
    row.prefill_tokens += clock.prefill_tokens
    row.decode_tokens += clock.last_decode
    row.recomputed_tokens += clock.recomputed_tokens
    row.kv_read += clock.last_read
    row.free_blocks = min(row.free_blocks, clock.least_free)
    clock.in_row += 1
    if clock.in_row == clock.log_every:
        clock.in_row = 0
        clock.logged += 1
