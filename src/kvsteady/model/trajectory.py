"""What happened in a run of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model import fluid
from kvsteady.model.admission import Pace
from kvsteady.model.machines import Arithmetic, machine
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import Eviction, System


@dataclass(frozen=True)
class Averages:
    """Means per iteration over a stretch of a run; tokens are KV tokens.

    ``evicted_tokens`` is what evictions threw out of memory (prompt and generated),
    ``wasted_tokens`` the generated ones among them, which `Eviction.RESTART` decodes again.
    """

    iterations: int
    admitted: float
    evicted: float
    completed: float
    memory: float
    running: float
    evicted_tokens: float
    wasted_tokens: float

    @property
    def useful_tokens(self) -> float:
        """Output tokens generated for good: everyone running gains one, evictions waste some.

        Over a stretch that is long, or a whole number of cycles, they are those of the requests
        completed. Evictions favour short outputs, so completions alone can hide a loss.
        """
        return self.running - self.wasted_tokens


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A run under `Eviction.RESTART`: one row per recorded iteration, states on demand.

    ``rows`` has shape ``(n, 7)``; the properties name its columns. ``burn_in`` iterations came
    before the first row.
    """

    system: System
    pace: Pace
    arithmetic: Arithmetic
    start: State | Cohorts | None
    seed: int
    burn_in: int
    rows: FloatArray

    eviction = Eviction.RESTART

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def admitted(self) -> FloatArray:
        """Requests admitted in each iteration, shape ``(n,)``."""
        return self.rows[:, fluid.ADMITTED]

    @property
    def evicted(self) -> FloatArray:
        """Requests evicted in each iteration."""
        return self.rows[:, fluid.EVICTED]

    @property
    def completed(self) -> FloatArray:
        """Requests completed in each iteration."""
        return self.rows[:, fluid.COMPLETED]

    @property
    def memory(self) -> FloatArray:
        """KV tokens in use during each iteration, after eviction and admission."""
        return self.rows[:, fluid.MEMORY]

    @property
    def running(self) -> FloatArray:
        """Requests in memory during each iteration."""
        return self.rows[:, fluid.RUNNING]

    @property
    def evicted_tokens(self) -> FloatArray:
        """KV tokens thrown out by the evictions of each iteration: what `Eviction.RESUME` would
        have to prefill again.
        """
        return self.rows[:, fluid.EVICTED_TOKENS]

    @property
    def wasted_tokens(self) -> FloatArray:
        """Generated tokens lost in each iteration: what `Eviction.RESTART` decodes again."""
        return self.rows[:, fluid.WASTED_TOKENS]

    def averages(self, last: int | None = None) -> Averages:
        """Means over the last ``last`` recorded iterations, or over all."""
        if not len(self) or (last is not None and not 1 <= last <= len(self)):
            raise InputError(f"cannot average {last}", field="last", allowed=f"1 to {len(self)}")
        rows = self.rows if last is None else self.rows[-last:]
        return Averages(len(rows), *rows.mean(axis=0).tolist())

    @property
    def throughput(self) -> float:
        """Completed requests per iteration over the recorded rows."""
        return self.averages().completed

    def state(self, iteration: int) -> State:
        """Who was in memory before recorded iteration ``iteration`` (``len(self)``: after the
        last one); replayed from the start, so it costs the iterations up to there.
        """
        if not 0 <= iteration <= len(self):
            raise InputError(f"{iteration}", field="iteration", allowed=f"0 to {len(self)}")
        runner = machine(self.system, self.pace, self.arithmetic, self.start, self.seed)
        left = self.burn_in + iteration
        while left:
            chunk = min(left, 1 << 16)
            runner.advance(np.empty((chunk, fluid.COLUMNS)))
            left -= chunk
        return runner.state()
