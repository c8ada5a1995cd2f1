"""Run the model: evict, admit, execute, once per iteration."""

from __future__ import annotations

import numpy as np

from kvsteady.errors import InputError
from kvsteady.model import fluid
from kvsteady.model.admission import Pace, PacedPolicy, pace_of
from kvsteady.model.machines import FluidMachine, IntegerMachine, Machine
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import System
from kvsteady.model.trajectory import Arithmetic, Trajectory
from kvsteady.progress import Progress, silent

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
    for name, value, low in (("steps", steps, 1), ("burn_in", burn_in, 0)):
        if not low <= value <= _MAX_ROWS:
            raise InputError(f"{value}", field=name, allowed=f"{low} to {_MAX_ROWS:,}")
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


def machine(
    system: System,
    pace: Pace,
    arithmetic: Arithmetic,
    start: State | Cohorts | None,
    seed: int,
) -> Machine:
    """Set up the kernel's arrays for a run."""
    if arithmetic == "fluid":
        return FluidMachine(system, pace, start)
    if arithmetic != "integer":
        raise InputError(f"{arithmetic!r}", field="arithmetic", allowed="fluid, integer")
    if isinstance(start, Cohorts):
        raise InputError("cohorts are fluid", field="start", allowed="a State of whole requests")
    if not 0 <= seed < 2**62:
        raise InputError(f"{seed}", field="seed", allowed="0 to 2^62 − 1")
    return IntegerMachine(system, pace, start, seed)
