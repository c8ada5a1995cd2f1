"""Run the model: evict, admit, execute, once per iteration."""

from __future__ import annotations

import numpy as np

from kvsteady.model import fluid
from kvsteady.model.admission import PacedPolicy, pace_of
from kvsteady.model.machines import Arithmetic, machine
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import System
from kvsteady.model.trajectory import Trajectory
from kvsteady.progress import Progress, silent
from kvsteady.workload.ranges import whole_number

# Iterations between two looks at the outside world: progress, Ctrl-C.
_CHUNK = 1 << 17
_MAX_ROWS = 50_000_000


def iterate(
    system: System,
    *,
    policy: PacedPolicy | None = None,
    steps: int,
    arithmetic: Arithmetic = "fluid",
    start: State | Cohorts | None = None,
    burn_in: int = 0,
    seed: int = 0,
    progress: Progress = silent,
) -> Trajectory:
    """Run the exact model of theory section 2 under `Eviction.RESTART`.

    Parameters
    ----------
    system
        Workload and KV capacity.
    policy
        Admission; None is greedy.
    steps, burn_in
        Iterations to record, after so many unrecorded ones.
    arithmetic
        ``"fluid"``: requests are real numbers. ``"integer"``: whole requests, whose classes come
        in turn, or at random from ``seed`` where the workload is random.
    start
        Who is in memory before the first iteration; None is nobody. `Cohorts` is for the fluid
        model only.

    Raises
    ------
    InputError
        A number out of range, or a start that the system cannot have.
    """
    steps = whole_number(steps, "steps", 1, _MAX_ROWS)
    burn_in = whole_number(burn_in, "burn_in", 0, _MAX_ROWS)
    pace = pace_of(policy, system, whole_requests=arithmetic == "integer")
    runner = machine(system, pace, arithmetic, start, seed)
    rows = np.empty((steps, fluid.COLUMNS))
    total = burn_in + steps
    scratch = np.empty((min(burn_in, _CHUNK), fluid.COLUMNS))
    done = 0
    while done < total:
        if done < burn_in:
            part = scratch[: burn_in - done]
        else:
            part = rows[done - burn_in : done - burn_in + _CHUNK]
        runner.advance(part)
        done += len(part)
        progress(done, total)
    rows.flags.writeable = False
    return Trajectory(system, pace, arithmetic, start, seed, burn_in, rows)
