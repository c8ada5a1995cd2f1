"""Shared by all tests. Standing here also puts ``tests/`` on the path: ``import reference``."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from kvsteady.workload import Workload


@pytest.fixture(scope="session")
def azure() -> Workload:
    """The Azure 2023 conversation trace, read without kvsteady's readers."""
    root = Path(__file__).parents[1]
    shared = Path(os.environ.get("KVSTEADY_SHARED", root.parent / "shared"))
    path = shared / "data" / "azure2023" / "AzureLLMInferenceTrace_conv.csv"
    if not path.is_file():
        pytest.skip(f"no Azure trace at {path}: set KVSTEADY_SHARED")
    with path.open(newline="") as file:
        pairs = Counter(
            (int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)
        )
    prompts, outputs = zip(*pairs, strict=True)
    return Workload.from_counts(prompts, outputs, list(pairs.values()), random=True, name="azure")
