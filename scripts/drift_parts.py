"""``drift`` in its parts: either law alone, where nothing changes, also for who is told the law.

    python scripts/drift_parts.py [ENGINE]

Completions over x* and recompute tax on seeds 1 to 3, of ``steady``, ``look-ahead`` and rate caps
whose x* is that of the law in force. Behind what docs/league.md says of ``drift``. Two minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Final

from kvsteady.league.engines import EngineName
from kvsteady.league.interval import interval
from kvsteady.league.match import Match, play
from kvsteady.league.workloads import CONTESTS

DRIFT: Final = CONTESTS["drift"]
SEEDS: Final = (1, 2, 3)
CAPS: Final = (0.9, 0.92, 0.94, 0.96)


def main() -> None:
    """A line per law and policy."""
    engine: Any = sys.argv[1] if sys.argv[1:] else "vllm"
    for name, law in (("drift-first", DRIFT.law), ("drift-second", DRIFT.later)):
        assert law is not None
        CONTESTS[name] = replace(DRIFT, name=name, law=law, later=None, kind="saturated")
        show(name, "steady", engine)
        show(name, "look-ahead", engine)
        for of_x in CAPS:
            show(name, "rate-cap", engine, (("of_x", of_x),))


def show(
    workload: str, entrant: str, engine: EngineName, constants: tuple[tuple[str, float], ...] = ()
) -> None:
    found = [
        play(
            Match(workload=workload, entrant=entrant, engine=engine, seed=seed, constants=constants)
        )
        for seed in SEEDS
    ]
    of_x, half = interval([result.of_x for result in found])
    tax, spread = interval([result.recompute_tax for result in found])
    words = " ".join(f"{key} {value:g}" for key, value in constants)
    print(
        f"{workload} {entrant} {words}: {of_x:.3f} ± {half:.3f} of x*, "
        f"tax {tax:.2%} ± {spread:.2%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
