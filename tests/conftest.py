"""Shared by all tests. Standing here also puts ``tests/`` on the path: ``import reference``."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


def _fresh_kernels() -> None:
    """Give each state of the sources its own cache of compiled kernels.

    numba looks at the file of a kernel, not at those of the functions that it calls.
    """
    digest = hashlib.sha256()
    for source in sorted((_ROOT / "src").rglob("*.py")):
        text = source.read_bytes()
        if b"numba" in text or b"@kernel" in text or b"_of(" in text:
            digest.update(text)
    folder = _ROOT / ".pytest_cache" / "kernels" / digest.hexdigest()[:16]
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))


_fresh_kernels()  # before numba is imported

from hypothesis import HealthCheck, settings  # noqa: E402 - see above

from kvsteady.workload import Workload  # noqa: E402 - see above

# How long a draw or an example takes says something of the machine, not of kvsteady.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def azure() -> Workload:
    """The Azure 2023 conversation trace, read without kvsteady's readers."""
    shared = Path(os.environ.get("KVSTEADY_SHARED", _ROOT.parent / "shared"))
    path = shared / "data" / "azure2023" / "AzureLLMInferenceTrace_conv.csv"
    if not path.is_file():
        pytest.skip(f"no Azure trace at {path}: set KVSTEADY_SHARED")
    with path.open(newline="") as file:
        pairs = Counter(
            (int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)
        )
    prompts, outputs = zip(*pairs, strict=True)
    return Workload.from_counts(prompts, outputs, list(pairs.values()), random=True, name="azure")
