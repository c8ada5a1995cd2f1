"""Make the bundled mooncake-conv table from the Mooncake conversation trace.

    python scripts/make_mooncake_preset.py conversation_trace.jsonl

The trace is kvcache-ai/Mooncake, FAST25-release/traces/conversation_trace.jsonl, Apache-2.0. Every
pair of lengths is kept exactly, with how often it occurs; times and prefix hashes are dropped.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from pathlib import Path

TABLE = Path(__file__).parent.parent / "src/kvsteady/workload/presets/mooncake_conv.csv"


def main(trace: str) -> None:
    with Path(trace).open() as file:
        rows = [json.loads(line) for line in file]
    counts = Counter((row["input_length"], row["output_length"]) for row in rows)
    by_output = sorted(counts.items(), key=lambda item: (item[0][1], item[0][0]))
    with TABLE.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["prompt", "output", "count"])
        table.writerows((prompt, output, count) for (prompt, output), count in by_output)


if __name__ == "__main__":
    main(sys.argv[1])
