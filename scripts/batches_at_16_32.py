"""Batches that evict nobody on SGLang: prompt 16, output 32, 960 KV tokens.

    python scripts/batches_at_16_32.py [PERIOD ...]

For each period of decode iterations an integer program over all periodic sequences of batches, for
most output tokens per second under the league's time model, whose terms are replaced by lines that
cost no more. What it finds is then timed by the model itself. Then, for each number of completions
in 31 decode iterations, the fewest prefills that another one finds, and a number that no sequence
of that period is below. Behind what docs/league.md says of ``bar-16-32`` on SGLang. Needs SciPy,
which kvsteady itself does not.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from kvsteady.league.engines import iteration_time
from kvsteady.simulate.times.form import iteration_seconds

KV_TOKENS, PROMPT, OUTPUT, MOST = 960, 16, 32, 10
# The first token comes of the prefill, and KV of the last is never written.
DECODES = OUTPUT - 1
PERIODS = (24, 27, 31)
COMPLETIONS = (26, 27, 28, 29)
SECONDS = 120.0
FORM = iteration_time().form()


def decode(running: float, held: float) -> float:
    """Seconds of a decode iteration."""
    return float(iteration_seconds(FORM, 0.0, 0.0, running, held, 0.0))


def prefill(many: int) -> float:
    """Seconds of a prefill."""
    return float(iteration_seconds(FORM, 1.0, many * PROMPT, 0.0, 0.0, many * PROMPT**2 / 2))


def limits(period: int) -> list[LinearConstraint]:
    """Memory, for the requests of each batch and then whether there is one."""
    held, asked = np.zeros((2, period, period))
    for now in range(period):
        for age in range(DECODES):
            held[now, (now - age) % period] += PROMPT + age + 1
            # SGLang wants room for all of a newcomer's max_tokens.
            asked[now, (now - age) % period] += PROMPT + (age if age else OUTPUT)
    every, none = np.eye(period), np.zeros((period, period))
    return [
        LinearConstraint(np.hstack([held, none]), -np.inf, KV_TOKENS),
        LinearConstraint(np.hstack([asked, none]), -np.inf, KV_TOKENS),
        LinearConstraint(np.hstack([every, -MOST * every]), -np.inf, 0.0),
    ]


def solve(period: int, cost: np.ndarray, constraints: list[LinearConstraint]) -> np.ndarray:
    """Requests of the batch before each decode iteration."""
    found = milp(
        cost,
        constraints=constraints,
        integrality=np.ones(2 * period),
        bounds=Bounds(0, np.repeat([MOST, 1], period)),
        options={"time_limit": SECONDS},
    )
    return np.round(found.x[:period]).astype(int)


def best(period: int, goal: float) -> np.ndarray:
    """Batches for ``goal`` tokens/s."""
    each = (decode(30, 30 * 32) - decode(10, 10 * 32)) / 20
    further = (prefill(MOST) - prefill(1)) / (MOST - 1)
    worth = OUTPUT - goal * (DECODES * each + further)
    cost = np.repeat([-worth, goal * (prefill(1) - further)], period)
    return solve(period, cost, limits(period))


def fewest(period: int, completions: int) -> np.ndarray:
    """Batches that are few."""
    count = np.repeat([[1.0, 0.0]], period, axis=1)
    enough = LinearConstraint(count, completions, np.inf)
    # Of all rotations the one that begins with a largest batch.
    first = np.hstack([np.eye(period), np.zeros((period, period))])[1:]
    first[:, 0] = -1
    largest = LinearConstraint(first, -np.inf, 0.0)
    return solve(period, np.repeat([0.0, 1.0], period), [*limits(period), enough, largest])


def needed(rate: float) -> int:
    """Prefills that 31 decode iterations of any sequence with so many completions per iteration
    have, namely those after which admissions are least behind it: in j of them at least
    ``⌈rate j⌉`` are admitted, and at the end these hold 960 tokens at most.
    """
    ends = range(1, DECODES + 1)
    due = [0, *(math.ceil(rate * j - 1e-9) for j in ends)]
    # Least tokens held by admissions in j iterations, if so many prefills brought them: before
    # iterations up to e there is none after the one before iteration s.
    least = {0: 0.0}
    for prefills in ends:
        least = {
            e: min(
                least[s] + due[e] * (e - s + (PROMPT if e == DECODES else 0))
                for s in least
                if s < e
            )
            for e in range(prefills, DECODES + 1)
        }
        if least[DECODES] <= KV_TOKENS:
            return prefills
    raise ValueError(f"nobody has {rate:.4f} per iteration")


def tokens_per_second(batches: np.ndarray) -> float:
    """What a sequence serves, by the time model."""
    period, seconds = batches.size, 0.0
    for now in range(period):
        ages = [(age, batches[(now - age) % period]) for age in range(DECODES)]
        running = float(sum(many for _, many in ages))
        seconds += decode(running, float(sum(many * (PROMPT + age) for age, many in ages)))
        seconds += prefill(int(batches[now])) if batches[now] else 0.0
    return OUTPUT * float(batches.sum()) / seconds


def main() -> None:
    """Print the best sequence of each period that was found."""
    for period in [int(word) for word in sys.argv[1:]] or PERIODS:
        batches = best(period, 3_500.0)
        rate = tokens_per_second(batches)
        sizes = ", ".join(f"{many}" for many in batches)
        print(
            f"period {period}: at least {rate:,.0f} tokens/s, {batches.sum()} / {period} = "
            f"{batches.sum() / period:.3f} completions per decode iteration: {sizes}",
            flush=True,
        )
    for completions in COMPLETIONS:
        batches = fewest(DECODES, completions)
        print(
            f"{completions} in {DECODES}, {completions / DECODES:.3f}: {np.count_nonzero(batches)} "
            f"prefills found, at least {needed(completions / DECODES)}; "
            f"{tokens_per_second(batches):,.0f} tokens/s",
            flush=True,
        )
    print(f"from 0.931 per iteration on: at least {needed(0.931)} prefills in {DECODES}")


if __name__ == "__main__":
    main()
