"""Make the bundled azure-conv table from the Azure 2023 conversation trace.

    python scripts/make_azure_preset.py AzureLLMInferenceTrace_conv.csv

The trace is Azure/AzurePublicDataset, AzureLLMInferenceTrace_conv.csv, CC-BY-4.0. Outputs are
kept exactly; prompts are grouped by powers of two within each output and stand as their mean,
rounded to a token. The mean prompt given the output is what the fluid model sees.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

TABLE = Path(__file__).parent.parent / "src/kvsteady/workload/presets/azure_conv.csv"


def main(trace: str) -> None:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    with Path(trace).open(newline="") as file:
        for row in csv.DictReader(file):
            prompt, output = int(row["ContextTokens"]), int(row["GeneratedTokens"])
            groups[output, prompt.bit_length()].append(prompt)
    with TABLE.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["prompt", "output", "count"])
        for (output, _), prompts in sorted(groups.items()):
            table.writerow([round(sum(prompts) / len(prompts)), output, len(prompts)])


if __name__ == "__main__":
    main(sys.argv[1])
