"""Record what SGLang decides, for `tests/simulate/test_sglang_*.py`; needs SGLang.

Run from `tests/`: ``python -m engines.sglang.record``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.sglang.drive import Driver
from reference.engines.sglang import Arrival, Knobs, Step
from sglang_cases import case, played
from sglang_sharing import sharing_case

SEEDS = range(1000, 1008)
ITERATIONS = 300
FOLDER = Path(__file__).parents[2] / "simulate" / "data"
COLUMNS = "[requests, tokens], preempted, finished, free KV tokens, new_token_ratio, chunked"


def row(taken: Step) -> list[Any]:
    return [
        [len(taken.tokens), sum(count for _, count in taken.tokens)],
        sorted((*taken.retracted, *taken.aborted)),
        sorted(taken.finished),
        taken.free,
        taken.ratio,
        taken.chunked,
    ]


def steps(knobs: Knobs, arrivals: list[Arrival]) -> list[Step]:
    return list(played(Driver(knobs), arrivals, ITERATIONS))


def write(name: str, columns: str, runs: list[dict[str, Any]]) -> None:
    text = json.dumps({"engine": "sglang 0.5.23", "steps": columns, "runs": runs})
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(text.replace('{"seed"', '\n{"seed"') + "\n")


def main() -> None:
    runs = [{"seed": seed, "steps": list(map(row, steps(*case(seed))))} for seed in SEEDS]
    write("sglang_0_5_23_decisions.json", COLUMNS, runs)
    runs = []
    for seed in SEEDS:
        knobs, arrivals, _ = sharing_case(seed)
        rows = [[*row(taken), taken.evictable] for taken in steps(knobs, arrivals)]
        runs.append({"seed": seed, "steps": rows})
    write("sglang_0_5_23_radix_decisions.json", f"{COLUMNS}, evictable KV tokens", runs)


if __name__ == "__main__":
    main()
