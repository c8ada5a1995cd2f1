"""``drift`` in its parts: either law alone, where nothing changes, also for who is told the law.

    python scripts/drift_parts.py [ENGINE]

Completions over x* and recompute tax on seeds 1 to 5, of ``steady``, ``look-ahead`` and rate caps
whose x* is that of the law in force. Before them the standard deviation of memory at the pace x*,
under an even pace and the least under any linear rule that answers what was drawn so far and knows
the law; such a rule may admit negative numbers. Then ``drift`` itself: of every grid the constants
with most completions at a tax of at most 1% on seed 0, on seeds 1 to 5. Behind what docs/league.md
says of ``drift``. Three minutes.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any, Final

import numpy as np

from kvsteady.league.engines import EngineName
from kvsteady.league.entrants import ENTRANTS, Constants
from kvsteady.league.interval import interval
from kvsteady.league.match import Match, play
from kvsteady.league.workloads import CONTESTS
from kvsteady.workload.law import Workload

DRIFT: Final = CONTESTS["drift"]
SEEDS: Final = (1, 2, 3, 4, 5)
TAX: Final = 0.01
CAPS: Final = (0.9, 0.92, 0.94, 0.96)
TERMS: Final = 1500  # iterations for which a rule answers


def main() -> None:
    """A line per law and policy."""
    engine: Any = sys.argv[1] if sys.argv[1:] else "vllm"
    for name, law in (("drift-first", DRIFT.law), ("drift-second", DRIFT.later)):
        assert law is not None
        even, least = deviations(law())
        print(f"{name}: standard deviation {even:.4f} of memory, at least {least:.4f}", flush=True)
        CONTESTS[name] = replace(DRIFT, name=name, law=law, later=None, kind="saturated")
        show(name, "steady", engine)
        show(name, "look-ahead", engine)
        for of_x in CAPS:
            show(name, "rate-cap", engine, (("of_x", of_x),))
    for entrant in ENTRANTS.values():
        if not entrant.engines or engine in entrant.engines:
            tried = {c: play(_match("drift", entrant.name, engine, 0, c)) for c in entrant.grid}
            cheap = {c: result.of_x for c, result in tried.items() if result.recompute_tax <= TAX}
            if cheap:
                show("drift", entrant.name, engine, max(cheap, key=cheap.__getitem__))


def deviations(law: Workload) -> tuple[float, float]:
    """Standard deviations of memory over all of it, for two outputs of one prompt.

    Whether a request is long shows when the short ones end. What memory a long one takes from then
    on is to be made up for by later admissions: a least squares problem.
    """
    short, long = sorted(law.output.tolist())
    share = float(law.share[law.output == long][0])
    block = DRIFT.block_size
    held = np.ceil((int(law.prompt[0]) + np.arange(long) + 1) / block) * block
    drawn, admitted = held[short:], held * np.where(np.arange(long) < short, 1.0, share)
    noise = math.sqrt(share * (1 - share) / (DRIFT.kv_tokens * admitted.sum()))
    answers = np.zeros((TERMS + long - 1, TERMS))
    for late in range(TERMS):
        answers[late : late + long, late] = admitted
    left = np.zeros(TERMS + long - 1)
    left[: drawn.size] = drawn
    found = np.linalg.lstsq(answers, -left)[0]
    return (
        noise * float(np.linalg.norm(drawn)),
        noise * float(np.linalg.norm(left + answers @ found)),
    )


def _match(
    workload: str, entrant: str, engine: EngineName, seed: int, constants: Constants
) -> Match:
    return Match(workload=workload, entrant=entrant, engine=engine, seed=seed, constants=constants)


def show(workload: str, entrant: str, engine: EngineName, constants: Constants = ()) -> None:
    found = [play(_match(workload, entrant, engine, seed, constants)) for seed in SEEDS]
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
