"""The whole vLLM engine with the plug-in: the same tokens, fewer of them computed twice.

400 requests of 32 prompt and 64 output tokens in 60 blocks. Steps, tokens and preemptions are
counted; nothing is timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")
pytest.importorskip("compressed_tensors", reason="vLLM cannot load a model without it")

TESTS = Path(__file__).parents[2]
NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 2}


def with_plugin(policy: str, **more: Any) -> dict[str, Any]:
    settings = {"policy": policy, "budget_ms": 60_000.0}
    return {
        "scheduler_cls": "kvsteady.plugins.vllm.SteadyScheduler",
        "additional_config": {"kvsteady": settings},
        **more,
    }


RUNS: dict[str, dict[str, Any]] = {
    "stock": {"requests": 400},
    "not binding": {"requests": 400, "options": with_plugin("greedy")},
    "steady": {"requests": 400, "options": with_plugin("steady")},
    "disturbed": {
        "requests": 80,
        "options": with_plugin("steady", enable_prefix_caching=True),
        "pause_at": 30,
        "abort_at": 40,
        "abort": ["1", "20", "79"],
    },
    "stock, n-grams": {"requests": 80, "words": 3, "options": {"speculative_config": NGRAM}},
    "n-grams": {
        "requests": 80,
        "words": 3,
        "options": with_plugin("steady", speculative_config=NGRAM),
    },
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("llama")
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    found = {}
    for name, wanted in RUNS.items():
        result = folder / f"{name}.json"
        done = subprocess.run(
            [sys.executable, "-m", "engines.vllm.engine", folder, json.dumps(wanted), result],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.exists(), f"{name}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        found[name] = json.loads(result.read_text())
    return found


def test_stock_computes_a_third_more_than_needed(runs):
    stock = runs["stock"]
    assert stock["class"] == "Scheduler"
    assert stock["preempted"] > 100
    needed = 400 * (32 + 64 - 1)
    assert stock["tokens"] > 1.2 * needed


def test_a_policy_that_does_not_bind_changes_nothing(runs):
    stock, same = runs["stock"], runs["not binding"]
    for what in ("steps", "tokens", "preempted", "outputs"):
        assert same[what] == stock[what]
    ledger = same["ledger"]
    assert same["aside"] is None
    assert ledger["evicted"] == stock["preempted"]
    assert ledger["prefilled"] + ledger["decoded"] == stock["tokens"]
    assert ledger["recomputed"] == stock["tokens"] - 400 * (32 + 64 - 1)


def test_with_the_policy_nothing_is_computed_twice(runs):
    stock, steady = runs["stock"], runs["steady"]
    assert steady["aside"] is None
    assert steady["preempted"] == 0
    assert steady["tokens"] == 400 * (32 + 64 - 1)
    assert steady["steps"] < 1.12 * stock["steps"]  # what it costs in iterations
    assert steady["outputs"] == stock["outputs"]


def test_a_pause_and_aborts_lose_nobody(runs):
    disturbed = runs["disturbed"]
    assert disturbed["aside"] is None
    served = set(map(str, range(80))) - {"1", "20", "79"}
    assert served <= set(disturbed["outputs"])
    # One was aborted before it had everything, the others may have ended by then.
    for name in served:
        assert disturbed["outputs"][name] == runs["stock"]["outputs"][name]


def test_speculative_decoding_goes_on_and_says_the_same(runs):
    stock, steady = runs["stock, n-grams"], runs["n-grams"]
    assert steady["aside"] is None
    assert steady["outputs"] == stock["outputs"]
    assert len(steady["outputs"]) == 80
    # Drafts were accepted, or there would be at least 64 iterations for each of them.
    assert steady["ledger"]["completed"] == 80
    assert steady["preempted"] <= stock["preempted"]
