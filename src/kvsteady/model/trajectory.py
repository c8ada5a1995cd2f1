"""What happened in a run of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from kvsteady.admission import Policy
from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model import fluid
from kvsteady.model.admission import Pace
from kvsteady.model.machines import Arithmetic, Machine
from kvsteady.model.requeue_columns import RequeueColumns
from kvsteady.model.requeue_machine import recorded_columns, runner, waiting_in
from kvsteady.model.requeue_place import AT_HEAD, Requeue
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
    def recomputed_tokens(self) -> float:
        """Tokens prefilled again by requests that resume; NaN under `Eviction.RESTART`."""
        return math.nan

    @property
    def swapped_tokens(self) -> float:
        """Tokens moved to host memory or back; NaN under `Eviction.RESTART`."""
        return math.nan

    @property
    def recompute_tax(self) -> float:
        """Recomputed tokens over all prefilled ones; NaN under `Eviction.RESTART`."""
        return math.nan

    @property
    def useful_tokens(self) -> float:
        """Output tokens generated for good: everyone running gains one, evictions waste some.

        Over a stretch that is long, or a whole number of cycles, they are those of the requests
        completed. Evictions favour short outputs, so completions alone can hide a loss.
        """
        return self.running - self.wasted_tokens


@dataclass(frozen=True)
class RequeueAverages(Averages):
    """The same where evicted requests keep their tokens, `Eviction.RESUME` or `Eviction.SWAP`.

    ``resumed`` requests were re-admitted (they count in ``admitted`` too) and got back
    ``resumed_tokens`` KV tokens; ``prompt_tokens`` are those of requests admitted for the first
    time, ``waiting`` the evicted requests that wait.
    """

    resumed: float
    resumed_tokens: float
    prompt_tokens: float
    waiting: float
    eviction: Eviction = field(kw_only=True)

    @property
    def recomputed_tokens(self) -> float:
        """Tokens prefilled again: none under `Eviction.SWAP`, which moves them."""
        return 0.0 if self.eviction is Eviction.SWAP else self.resumed_tokens

    @property
    def swapped_tokens(self) -> float:
        """Tokens moved to host memory or back: none under `Eviction.RESUME`."""
        swap = self.eviction is Eviction.SWAP
        return self.evicted_tokens + self.resumed_tokens if swap else 0.0

    @property
    def recompute_tax(self) -> float:
        """Recomputed tokens over all prefilled ones; 0 if none were."""
        prefilled = self.prompt_tokens + self.recomputed_tokens
        return self.recomputed_tokens / prefilled if prefilled else 0.0


@dataclass(frozen=True, eq=False)
class Trajectory(RequeueColumns):
    """A run: one row per recorded iteration, states on demand.

    ``rows`` has shape ``(n, 7)``, or ``(n, 11)`` where evicted requests keep their tokens; the
    properties name its columns. ``burn_in`` iterations came before the first row.
    """

    system: System
    pace: Pace | Policy
    arithmetic: Arithmetic
    start: State | Cohorts | None
    seed: int
    burn_in: int
    rows: FloatArray
    eviction: Eviction = Eviction.RESTART
    requeue: Requeue = AT_HEAD

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
        return averages_of(rows.sum(axis=0), len(rows), self.eviction)

    @property
    def throughput(self) -> float:
        """Completed requests per iteration over the recorded rows."""
        return self.averages().completed

    def state(self, iteration: int) -> State:
        """Who was in memory before recorded iteration ``iteration`` (``len(self)``: after the
        last one); replayed from the start, so it costs the iterations up to there.
        """
        return self._replay(iteration).state()

    def waiting(self, iteration: int) -> State:
        """Who was evicted with its tokens and waits before recorded iteration ``iteration``, the
        next to be admitted first; replayed like `state`. Nobody under `Eviction.RESTART`.
        """
        return waiting_in(self._replay(iteration))

    def _replay(self, iteration: int) -> Machine:
        if not 0 <= iteration <= len(self):
            raise InputError(f"{iteration}", field="iteration", allowed=f"0 to {len(self)}")
        engine = runner(
            self.system,
            self.pace,
            self.arithmetic,
            self.start,
            self.seed,
            self.eviction,
            self.requeue,
        )
        left = self.burn_in + iteration
        while left:
            chunk = min(left, 1 << 16)
            engine.advance(np.empty((chunk, recorded_columns(self.eviction))))
            left -= chunk
        return engine


def averages_of(sums: FloatArray, iterations: int, eviction: Eviction) -> Averages:
    """Means from the sums of the recorded columns."""
    means = (sums / iterations).tolist()
    if eviction is Eviction.RESTART:
        return Averages(iterations, *means)
    return RequeueAverages(iterations, *means, eviction=eviction)
