"""Record what SGLang decides, for `tests/simulate/test_sglang_decisions.py`; needs SGLang.

Run from `tests/`: ``python -m engines.sglang.record``.
"""

from __future__ import annotations

import json
from pathlib import Path

from engines.sglang.drive import Driver
from sglang_cases import case, played

SEEDS = range(1000, 1008)
PLACE = Path(__file__).parents[2] / "simulate" / "data" / "sglang_0_5_23_decisions.json"


def main() -> None:
    runs = []
    for seed in SEEDS:
        knobs, arrivals = case(seed)
        steps = [
            [
                [len(taken.tokens), sum(count for _, count in taken.tokens)],
                sorted((*taken.retracted, *taken.aborted)),
                sorted(taken.finished),
                taken.free,
                taken.ratio,
                taken.chunked,
            ]
            for taken in played(Driver(knobs), arrivals, 300)
        ]
        runs.append({"seed": seed, "steps": steps})
    columns = "[requests, tokens], preempted, finished, free KV tokens, new_token_ratio, chunked"
    text = json.dumps({"engine": "sglang 0.5.23", "steps": columns, "runs": runs})
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(text.replace('{"seed"', '\n{"seed"') + "\n")


if __name__ == "__main__":
    main()
