"""What ``max_tokens`` does to a law of lengths.

``w_m`` needs the law for ages up to m only, so ``max_tokens`` does not change a weight: it cuts the
survival polynomial short. Weights that fall at every age therefore stay stable at any cap, whatever
share of the requests hits it. For a common prompt that is the case where the chance that an output
ends with token m, once it got there, exceeds ``1 / (l0 + m + 1)`` for every m from 1 on, one over
the KV tokens it is about to hold (ours, by Eneström–Kakeya).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.theory.spectrum import Stability, spectrum
from kvsteady.theory.winding import count_roots_outside
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, real_number, whole_number


@dataclass(frozen=True)
class CapRow:
    """What a cap on output tokens makes of a law.

    ``atom`` is the share of requests with the longest output; ``roots_outside`` is None where
    undecided.
    """

    max_tokens: int
    atom: float
    outcome: Stability
    radius: float
    roots_outside: int | None

    @property
    def margin(self) -> float:
        """``1 − radius``."""
        return 1 - self.radius


def cap_table(workload: Workload, caps: Sequence[int]) -> tuple[CapRow, ...]:
    """Spectrum of a law under each ``max_tokens``."""
    rows = []
    for cap in caps:
        capped = workload.capped(cap)
        verdict = spectrum(capped)
        rows.append(
            CapRow(
                capped.longest_output,
                float(capped.survival[-1]),
                verdict.outcome,
                verdict.radius,
                verdict.roots_outside,
            )
        )
    return tuple(rows)


def stable_cap(workload: Workload) -> int | None:
    """A ``max_tokens`` under which the law is stable while one token less is not.

    Between caps at which the weights still rise throughout and the whole law; None where the whole
    law is not stable, 1 where no cap was found to be unstable.
    """
    weights = workload.memory_weights()

    def stable(cap: int) -> bool:
        return count_roots_outside(weights[:cap]).outside == 0

    rising = np.flatnonzero(np.diff(weights) <= 0)
    low, high = int(rising[0]) + 1 if rising.size else weights.size, weights.size
    if not stable(high):
        return None
    if low == 1 or stable(low):
        return 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if stable(middle) else (middle, high)
    return high


def geometric_multiplier(prompt: int, mean: float) -> float:
    """Return the one multiplier of geometric outputs without a cap, ``q l0 / (l0 + 1)``,
    ``q = 1 − 1/mean`` (ours, exact).

    ``Σ_m (l0 + m + 1) q^m u^m = (l0 + 1 − l0 q u) / (1 − q u)²`` vanishes at
    ``u = (l0 + 1) / (q l0)`` alone. A cap at N cuts the sum short. Of the N − 1 roots that this
    leaves, the one near ``−q ((2 (l0 + N) + 1) / (2 l0 + 1))^(1/N)`` sets the spectral radius of
    the capped law, which tends to q.
    """
    l0 = whole_number(prompt, "prompt", 0, MAX_PROMPT)
    return (1 - 1 / real_number(mean, "mean", above=1.0)) * l0 / (l0 + 1)
