"""How much of memory a planner uses on ``drift`` that is told the law, with a program to solve.

    python scripts/drift_plan.py [MARGIN ...]

Either law of ``drift``, without change, in a model of single tokens: prompt 128, outputs 128 and
768. Every 16 iterations a linear program chooses the admissions of the next 1,600 that use most
memory, such that in no block of 16 its expectation plus MARGIN standard deviations, of those who
run now, exceed what there is; the first block is followed. Who is admitted last is evicted where
memory is short, and comes back first. Behind what docs/league.md says of ``drift``. Needs SciPy,
which kvsteady itself does not; ten minutes.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from scipy.optimize import linprog

PROMPT, SHORT, LONG, KV_TOKENS = 128, 128, 768, 131_072
BLOCK, BLOCKS = 16, 100
ITERATIONS, WARM_UP = 12_000, 3 * LONG
AGES = np.arange(LONG)
HELD = PROMPT + AGES + 1.0
TOO_MUCH = 50.0  # what a token above memory costs the plan, in 100,000 token-iterations
FASTEST = 6.0  # admissions of a plan, over x*


class Planner:
    """Admissions per iteration that make most of memory, from who runs."""

    def __init__(self, share: float, margin: float) -> None:
        survives = np.where(AGES < SHORT, 1.0, share)
        self.weights, self.margin = HELD * survives, margin
        self.pace = KV_TOKENS / self.weights.sum()
        later = (np.arange(BLOCKS) + 1) * BLOCK - 1
        then = later[:, None] + AGES
        held = np.where(then < LONG, PROMPT + then + 1.0, 0.0)
        young = np.where(then[:, :SHORT] < SHORT, 1.0, share) * held[:, :SHORT]
        self.long, self.young = held, young
        chance = np.where(then[:, :SHORT] < SHORT, 0.0, share * (1 - share))
        self.variance = chance * held[:, :SHORT] ** 2
        ahead = np.concatenate([self.weights, np.zeros(BLOCKS * BLOCK)])[: BLOCKS * BLOCK]
        of_block = ahead.reshape(BLOCKS, BLOCK).sum(axis=1)
        self.planned = toeplitz(of_block, np.zeros(BLOCKS))

    def rate(self, young: NDArray[np.int64], long: NDArray[np.int64]) -> float:
        """Admissions per iteration in the next block; arguments are counts by age."""
        mean = self.long @ long + self.young @ young
        free = KV_TOKENS - mean - self.margin * np.sqrt(self.variance @ young)
        unit = 1e3
        found = linprog(
            -np.concatenate([self.planned.sum(axis=0) / 1e5, np.full(BLOCKS, -TOO_MUCH)]),
            A_ub=np.hstack([self.planned / unit, -np.eye(BLOCKS)]),
            b_ub=free / unit,
            bounds=[(0, FASTEST * self.pace)] * BLOCKS + [(0, None)] * BLOCKS,
        )
        return float(found.x[0])


def run(share: float, margin: float, seed: int) -> tuple[float, float]:
    """Memory used over what there is, and the recompute tax."""
    draws, planner = np.random.default_rng(seed), Planner(share, margin)
    young, long = np.zeros(SHORT, np.int64), np.zeros(LONG, np.int64)
    evicted: list[int] = []  # ages, who comes back first at the end
    used = recomputed = prefilled = credit = rate = 0.0
    for now in range(ITERATIONS):
        memory = float(HELD[:SHORT] @ young + HELD @ long)
        short_of = memory > KV_TOKENS
        measured = now >= WARM_UP
        while memory > KV_TOKENS:
            ages = young if young.any() else long
            age = int(np.flatnonzero(ages)[0])
            ages[age] -= 1
            evicted.append(age)
            memory -= HELD[age]
            recomputed += measured * (PROMPT + age)
            prefilled += measured * (PROMPT + age)
        if now % BLOCK == 0:
            rate = planner.rate(young, long)
        credit = min(credit + rate, rate + 3)
        while credit >= 1 and not short_of:
            age = evicted[-1] if evicted else 0
            if memory + HELD[age] > KV_TOKENS:
                break
            if evicted:
                evicted.pop()
            else:
                prefilled += measured * PROMPT
            (young if age < SHORT else long)[age] += 1
            memory += HELD[age]
            credit -= 1
        used += measured * memory
        grown = int(draws.binomial(young[-1], share))
        young, long = np.roll(young, 1), np.roll(long, 1)
        young[0] = long[0] = 0
        long[SHORT] += grown
    return used / (ITERATIONS - WARM_UP) / KV_TOKENS, recomputed / prefilled


def main() -> None:
    """A line per law and margin, seeds 1 to 3."""
    for share in (0.25, 0.75):
        for margin in [float(word) for word in sys.argv[1:]] or (1.0, 1.25, 1.5, 2.0, 2.5):
            found = np.array([run(share, margin, seed) for seed in (1, 2, 3)])
            used, tax = found.mean(axis=0)
            print(
                f"{share:.0%} long, margin {margin:g}: {used:.4f} of memory, tax {tax:.2%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
