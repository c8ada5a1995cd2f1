"""The recorded traces, against numbers derived here without kvsteady."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from kvsteady.workload import Workload
from kvsteady.workload.traces import read_trace, recognise

AZURE = "azure2023/AzureLLMInferenceTrace_conv.csv"
MOONCAKE = "mooncake/conversation_trace.jsonl"
RUNS = ("vllm_runs/RTXPRO6000_Llama-3.1-8B", "vllm_runs/RTXPRO6000_Qwen3-32B")


def pairs_of(load: Workload) -> Counter[tuple[int, int]]:
    rows = zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True)
    return Counter({(prompt, output): count for prompt, output, count in rows})


def test_azure(shared: Path) -> None:
    with (shared / AZURE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = Counter((int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows)
    load = read_trace(shared / AZURE)
    assert recognise(shared / AZURE).name == "azure"
    assert len(rows) == 19_366 == load.tickets.sum()
    assert pairs_of(load) == pairs
    # awk -F, 'NR>1{p+=$2;o+=$3}END{print p/(NR-1),o/(NR-1)}'
    assert load.mean_prompt == pytest.approx(1154.697, abs=1e-3)
    assert load.mean_output == pytest.approx(211.126, abs=1e-3)
    assert load.random
    assert load.name == "AzureLLMInferenceTrace_conv.csv"
    assert load.notes == ()

    # datetime keeps 6 of the 7 fractional digits, of which the last is 0 in this file.
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]) for row in rows]
    first = min(times)
    seconds = sorted((time - first).total_seconds() for time in times)
    assert load.arrivals is not None
    np.testing.assert_allclose(load.arrivals.seconds, seconds, atol=5e-7)
    assert load.arrivals.span == pytest.approx(
        58 * 60 + 21.7219370, abs=1e-6
    )  # 18:15:46 – 19:14:08


def test_mooncake(shared: Path) -> None:
    rows = [json.loads(line) for line in (shared / MOONCAKE).read_text().splitlines()]
    load = read_trace(shared / MOONCAKE)
    assert recognise(shared / MOONCAKE).name == "mooncake"
    assert len(rows) == 12_031 == load.tickets.sum()
    assert pairs_of(load) == Counter((row["input_length"], row["output_length"]) for row in rows)
    assert load.arrivals is not None
    np.testing.assert_allclose(
        load.arrivals.seconds, sorted(row["timestamp"] / 1000 for row in rows), atol=1e-9
    )


@pytest.mark.parametrize("run", RUNS)
def test_vllm_run(shared: Path, run: str) -> None:
    requests = shared / run / "requests.jsonl"
    rows = [json.loads(line) for line in requests.read_text().splitlines()]
    meta = json.loads((shared / run / "meta.json").read_text())
    folder, file = read_trace(shared / run), read_trace(requests)
    assert recognise(shared / run).name == recognise(requests).name == "vllm-run"
    assert len(rows) == 300 == folder.tickets.sum()
    assert pairs_of(folder) == pairs_of(file)
    assert pairs_of(file) == Counter((row["input_toks"], row["output_toks"]) for row in rows)
    assert folder.name == f"{Path(run).name} ({meta['model']})"
    assert file.name == f"requests.jsonl ({meta['model']})"
    assert folder.notes == file.notes == (f"recorded with vLLM {meta['vllm_version']}",)
    times = [row["arrival_time"] for row in rows]
    assert folder.arrivals is not None
    assert folder.arrivals.span == pytest.approx(max(times) - min(times), abs=1e-6)
