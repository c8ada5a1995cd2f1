"""What greedy admission ends in where evicted requests keep their tokens (all of it ours).

Re-queueing at the head, in the fluid model, under `Eviction.RESUME` or `Eviction.SWAP`:

- **Conservation.** Nobody decodes a token twice, so a completion has used ``Σ_{i<l1} (l0 + i + 1)``
  token-iterations of memory, whatever happened to it; completions per iteration are the mean memory
  in use over ``Σ w_m``, and x* where memory stays full. Evictions cost prefill, not completions.
- **Bound.** Evictions make room for the last iteration's growth only, a token per request, so at
  most as many tokens are thrown out, and recomputed, as are generated.
- **No orbit attracts, one class.** On each linear piece (`model.requeue_levels`) the map has the
  determinant ``± w[L−1] / w[j]``, j the marginal level: never under 1 where w increases, and above
  it unless the oldest requests alone fill memory. The product of the multipliers of a periodic
  orbit off the breaks is above 1, and the sum of the Lyapunov exponents of every trajectory is the
  mean of ``ln (w[L−1] / w[j])``. The orbits themselves are in `theory.resume_orbits`.
- **Long prompts, one class.** To leading order in 1/l0 one cohort completes every l1 iterations,
  dressed with l1 − 1 cohorts of about M / l0² requests. The one that completes while the large
  cohort has age τ has ``s_τ`` in [0, 1] of that unit; growth takes a whole unit, so ``1 − s_τ``
  are evicted, and complete at age ``l1 − τ`` of the next large cohort: ``s'_{l1−τ} = 1 − s_τ``.
  Two turns evict ``Σ (1 − s) + Σ s = l1 − 1`` units, whatever s was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model import fluid, requeue_levels
from kvsteady.model.cycle import find_cycle
from kvsteady.model.iterate import iterate
from kvsteady.model.system import Eviction, System
from kvsteady.model.trajectory import Averages
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number

# Exponents closer to 0 than this, per iteration, are not told from it.
_CLEAR = 1e-4
# And than this over the iterations followed: how far a tangent can swing without growing.
_SPREAD = 10.0
# Iterations between two orthogonalisations of the tangents.
_EVERY = 8


@dataclass(frozen=True)
class Recompute:
    """Tokens that resuming evicted requests prefills again, per completed request.

    Attributes
    ----------
    tokens
        Recomputed tokens per completion; half of the tokens that `Eviction.SWAP` moves.
    tax
        Recomputed over all prefilled tokens.
    """

    tokens: float
    tax: float


def recompute_bound(workload: Workload) -> Recompute:
    """The most that `Eviction.RESUME` recomputes in the fluid model (ours; see the module).

    ``E[L1]`` tokens per completion, in any workload and from any start that fits. Whole requests
    leave whole: each iteration that evicts may throw out up to a request more.
    """
    return _recompute(workload.mean_output, workload)


def long_prompt_recompute(workload: Workload) -> Recompute:
    """What one class recomputes as its prompt grows: ``(l1 − 1) / 2`` tokens per completion (ours,
    to leading order in 1/l0, memory growing with it; see the module).

    Raises
    ------
    InputError
        More than one class.
    """
    if len(workload) != 1:
        raise InputError(f"{len(workload)} classes", field="workload", allowed="one class")
    return _recompute((workload.longest_output - 1) / 2, workload)


def _recompute(tokens: float, workload: Workload) -> Recompute:
    prefilled = workload.mean_prompt + tokens
    return Recompute(tokens, tokens / prefilled if prefilled else 0.0)


class Motion(Enum):
    """How neighbouring states move apart on an attractor; the value says what it means."""

    SETTLED = "neighbouring states approach each other: evictions end, but for chance"
    NEUTRAL = "neighbouring states neither part nor meet clearly: follow them for longer"
    CHAOTIC = "neighbouring states part exponentially: evictions go on, and no orbit attracts"


@dataclass(frozen=True)
class Attractor:
    """Where greedy admission ends under `Eviction.RESUME`, re-queueing at the head.

    Attributes
    ----------
    averages
        Means of a long run of the integer model.
    period
        Exact period of the integer model; 0 where no state recurred within the limit, or lengths
        are random. Finitely many states always recur; where the fluid model is chaotic, late.
    exponents
        Largest Lyapunov exponents of the fluid model per iteration, descending. Where it settles,
        the first is the logarithm of the spectral radius.
    exponent_sum
        Sum of all ``L − 1``, the mean of ``ln (w[L−1] / w[j])``.
    rhythm
        Iterations after which completions of the fluid model repeat themselves best: the lag of
        the highest autocorrelation from 2 to ``2 L``; 1 where they are steady.
    coherence
        That autocorrelation, 1 for a perfect rhythm.
    """

    averages: Averages
    period: int
    exponents: tuple[float, ...]
    exponent_sum: float
    rhythm: int
    coherence: float

    @property
    def motion(self) -> Motion:
        """Chaotic where the largest exponent is clearly above 0."""
        largest = self.exponents[0] if self.exponents else -np.inf
        clear = max(_CLEAR, _SPREAD / self.averages.iterations)
        if largest > clear:
            return Motion.CHAOTIC
        return Motion.SETTLED if largest < -clear else Motion.NEUTRAL

    @property
    def recompute(self) -> Recompute:
        """Tokens recomputed per completion, NaN if none was, and their share of the prefill."""
        turn = self.averages
        if not turn.completed:
            return Recompute(math.nan, turn.recompute_tax)
        return Recompute(turn.recomputed_tokens / turn.completed, turn.recompute_tax)

    @property
    def evictions(self) -> float:
        """Evictions per completion; NaN if none was."""
        turn = self.averages
        return turn.evicted / turn.completed if turn.completed else math.nan


def attractor(
    system: System,
    *,
    steps: int = 100_000,
    exponents: int = 1,
    limit: int = 1_000_000,
) -> Attractor:
    """Measure where greedy admission ends under `Eviction.RESUME` (numerical, ours).

    ``steps`` iterations are averaged in the integer model after as many unrecorded ones, and
    followed with ``exponents`` tangents (each costs O(L) per iteration) in the fluid model from
    near the eviction-free equilibrium; ``limit`` bounds the search for the exact period.

    Raises
    ------
    InputError
        A number out of range.
    """
    steps = whole_number(steps, "steps", 100, 10_000_000)
    load = system.workload
    most = load.longest_output - 1
    exponents = min(whole_number(exponents, "exponents", 1, 4096), most)
    run = iterate(
        system, steps=steps, burn_in=steps, arithmetic="integer", eviction=Eviction.RESUME
    )
    period = 0
    if not load.random:
        cycle = find_cycle(system, arithmetic="integer", limit=limit, eviction=Eviction.RESUME)
        period = cycle.period
    leading, total = _exponents(load, exponents, steps)
    real = iterate(system, steps=steps, burn_in=steps, eviction=Eviction.RESUME)
    rhythm, coherence = _rhythm(real.rows[:, fluid.COMPLETED], 2 * load.longest_output)
    return Attractor(run.averages(), period, leading, total, rhythm, coherence)


def _exponents(load: Workload, count: int, steps: int) -> tuple[tuple[float, ...], float]:
    if count == 0:
        return (), 0.0
    weights = load.memory_weights()
    # Memory 1; a few per cent off the equilibrium, in no pattern that could stay in phase.
    level = 1.0 / float(weights.sum())
    y = level * (1 + 0.05 * np.sin(2.399963 * np.arange(weights.size)))
    y[0] = 0.0
    requeue_levels.exponents(weights, 1.0, y, 0, steps, _EVERY)
    leading, total = requeue_levels.exponents(weights, 1.0, y, count, steps, _EVERY)
    return tuple(sorted(leading.tolist(), reverse=True)), float(total)


def _rhythm(series: FloatArray, most: int) -> tuple[int, float]:
    """Lag of the highest autocorrelation from 2 to ``most``, and its value."""
    deviation = series - series.mean()
    most = min(most, series.size // 2)
    if most < 2 or deviation.std() <= 1e-9 * abs(series.mean()):
        return 1, 1.0
    power = np.abs(np.fft.rfft(deviation, 2 * series.size)) ** 2
    correlation = np.fft.irfft(power)[: most + 1]
    # Longer lags overlap less; compare means, not sums.
    correlation = correlation / correlation[0] * series.size / (series.size - np.arange(most + 1))
    lag = int(np.argmax(correlation[2:])) + 2
    return lag, float(correlation[lag])
