"""Record a few runs of the real scheduler, for machines without vLLM.

Run it with ``PYTHONPATH=src:tests python tests/engines/vllm/record.py``.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.vllm.drive import drive
from vllm_runs import RECORDING, cases_to_record

STEPS = 160


def recorded(folder: Path) -> list[dict[str, Any]]:
    """Each case with its steps, as plain data; fields of a step by position."""
    return [
        asdict(case) | {"steps": [list(vars(step).values()) for step in drive(folder, case, STEPS)]}
        for case in cases_to_record()
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        runs = recorded(Path(folder))
    RECORDING.write_text(json.dumps(runs, separators=(",", ":")) + "\n")
