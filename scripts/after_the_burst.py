"""Whom the burst of the league makes wait, and how long: to the first token, and to the last.

``after_the_burst.py [SEEDS]``: of those who came after the first fifth, as the league measures. A
request that was evicted keeps its first token.
"""

from __future__ import annotations

import sys

import numpy as np

from kvsteady.league import CONTESTS, Match
from kvsteady.league.engines import ENGINES
from kvsteady.league.match import Run

# The baselines that goodput speaks for, with the constants that were best there.
ENTRANTS = (("steady", ()), ("greedy", ()), ("watermark", (("watermark", 0.01),)))


def main() -> None:
    """Print a line per engine and policy, means over seeds."""
    seeds = range(1, 1 + int(sys.argv[1] if sys.argv[1:] else 2))
    print(f"{'':24} p99 first token, s  p99 last token, s  within 2 s  done, s")
    for engine in ENGINES:
        for entrant, constants in ENTRANTS:
            found = []
            for seed in seeds:
                match = Match(
                    workload="burst",
                    entrant=entrant,
                    engine=engine,
                    seed=seed,
                    constants=constants,
                )
                run = Run(match, CONTESTS["burst"])
                run.result()
                rows = np.concatenate(run.left)
                rows = rows[np.argsort(rows["arrival"], kind="stable")][rows.size // 5 :]
                first, last = (rows[end] - rows["arrival"] for end in ("first_token", "finish"))
                found.append(
                    [
                        np.quantile(first, 0.99),
                        np.quantile(last, 0.99),
                        (first <= 2).mean(),
                        rows["finish"].max(),
                    ]
                )
            a, b, c, d = np.mean(found, axis=0)
            print(f"{engine:8}{entrant:16} {a:18.1f}  {b:17.1f}  {c:10.0%}  {d:7.0f}")


if __name__ == "__main__":
    main()
