"""Most whole admissions per iteration that evict nobody: prompt 16, output 32, 960 KV tokens.

    python scripts/admission_bound.py [PERIOD ...]

For each period an integer program over all periodic sequences of 0 to 3 admissions per iteration,
solved to the end; behind what docs/league.md says of ``bar-16-32``. Needs SciPy, which kvsteady
itself does not.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

KV_TOKENS, PROMPT, OUTPUT, MOST = 960, 16, 32, 3
PERIODS = (*range(16, 35), 36, 40)
SECONDS = 300.0


def best(period: int) -> tuple[int, bool]:
    """Admissions of one period, and whether it is proved that there are no more."""
    held = np.zeros((period, period))  # by iteration, tokens of one admission in each iteration
    for now in range(period):
        for age in range(OUTPUT):
            held[now, (now - age) % period] += PROMPT + age
    found = milp(
        -np.ones(period),
        constraints=LinearConstraint(held, -np.inf, KV_TOKENS),
        integrality=np.ones(period),
        bounds=Bounds(0, MOST),
        options={"time_limit": SECONDS},
    )
    return round(-found.fun), found.status == 0


def main() -> None:
    for period in [int(word) for word in sys.argv[1:]] or PERIODS:
        many, proved = best(period)
        state = "at most" if proved else "at least, not solved to the end:"
        print(f"period {period}: {state} {many} / {period} = {many / period:.4f}", flush=True)


if __name__ == "__main__":
    main()
