"""Run the model: evict, admit, execute, once per iteration."""

from __future__ import annotations

import numpy as np

from kvsteady.admission import Policy
from kvsteady.model.admission import PacedPolicy, pace_of
from kvsteady.model.machines import Arithmetic
from kvsteady.model.requeue_machine import recorded_columns, runner
from kvsteady.model.requeue_place import AT_HEAD, Requeue
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import Eviction, System
from kvsteady.model.trajectory import Trajectory
from kvsteady.progress import Progress, silent
from kvsteady.workload.ranges import whole_number

# Iterations between two looks at the outside world: progress, Ctrl-C.
_CHUNK = 1 << 17
_MAX_ROWS = 50_000_000


def iterate(
    system: System,
    *,
    policy: PacedPolicy | Policy | None = None,
    steps: int,
    arithmetic: Arithmetic = "fluid",
    start: State | Cohorts | None = None,
    burn_in: int = 0,
    seed: int = 0,
    eviction: Eviction = Eviction.RESTART,
    requeue: Requeue = AT_HEAD,
    progress: Progress = silent,
) -> Trajectory:
    """Run the exact model of theory section 2.

    Parameters
    ----------
    system
        Workload and KV capacity.
    policy
        Admission; None is greedy. One without a pace is asked in each iteration, which only
        whole requests can be, and shown all of them: hundreds of times slower.
    steps, burn_in
        Iterations to record, after so many unrecorded ones.
    arithmetic
        ``"fluid"``: requests are real numbers. ``"integer"``: whole requests, whose classes come
        in turn, or at random from ``seed`` where the workload is random.
    start
        Who is in memory before the first iteration; None is nobody. `Cohorts` is for the fluid
        model only.
    eviction, requeue
        What becomes of evicted requests and, where they keep their tokens, how they wait. The
        fluid model re-queues at the head only.

    Raises
    ------
    InputError
        A number out of range, or a start that the system cannot have.
    """
    steps = whole_number(steps, "steps", 1, _MAX_ROWS)
    burn_in = whole_number(burn_in, "burn_in", 0, _MAX_ROWS)
    pace = pace_of(policy, system, whole_requests=arithmetic == "integer")
    engine = runner(system, pace, arithmetic, start, seed, eviction, requeue)
    columns = recorded_columns(eviction)
    rows = np.empty((steps, columns))
    total = burn_in + steps
    scratch = np.empty((min(burn_in, _CHUNK), columns))
    done = 0
    while done < total:
        if done < burn_in:
            part = scratch[: burn_in - done]
        else:
            part = rows[done - burn_in : done - burn_in + _CHUNK]
        engine.advance(part)
        done += len(part)
        progress(done, total)
    rows.flags.writeable = False
    return Trajectory(system, pace, arithmetic, start, seed, burn_in, rows, eviction, requeue)
