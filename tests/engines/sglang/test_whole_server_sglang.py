"""The commands of docs/guides/sglang.md, run against SGLang's whole server on a CPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
    metadata.version("python-multipart")  # the server wants it
except metadata.PackageNotFoundError:
    message = "SGLang or its server is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.server import Server, make_model

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "sglang.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", GUIDE, re.MULTILINE)
SHADOW, ON, OFF = (command for command in COMMANDS if "launch_server" in command)
STOCK, OURS = (command for command in COMMANDS if command.startswith("curl"))
REQUESTS, PROMPT, OUTPUT = 120, 20, 40


@dataclass
class Run:
    outputs: list[list[int]]
    stock: dict[str, float]  # what the guide's first look prints
    ours: dict[str, float]  # and its second
    metrics: dict[str, float]  # all
    log: str


def values(text: str) -> dict[str, float]:
    """The metrics' values; of one that has several labels only its prefilled tokens are asked."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    found = {}
    for name, value in (line.rsplit(" ", 1) for line in lines):
        short = name.partition("{")[0]
        found[short + ":prefill" * ('mode="prefill_compute"' in name)] = float(value)
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder)
    return folder


def run(command: str, model: Path, folder: Path) -> Run:
    prompts = [[(37 * i + 11 * j) % 509 for j in range(PROMPT)] for i in range(REQUESTS + 1)]
    with Server(command, model, folder) as server:
        outputs = server.generate(prompts[:REQUESTS], OUTPUT)
        # The plug-in's metrics are up to date every 16 iterations: one more request of 40.
        outputs += server.generate(prompts[REQUESTS:], OUTPUT)
        looks = [values(server.shell(look)) for look in (STOCK, OURS)]
        metrics = values(server.ask("/metrics"))
    return Run(outputs, *looks, metrics, (folder / "log").read_text())


@pytest.fixture(scope="module")
def shadow(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(SHADOW, model, tmp_path_factory.mktemp("shadow"))


@pytest.fixture(scope="module")
def on(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(ON, model, tmp_path_factory.mktemp("on"))


@pytest.fixture(scope="module")
def off(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(OFF, model, tmp_path_factory.mktemp("off"))


def prefilled_again(run: Run) -> float:
    """Tokens prefilled beyond those of the prompts, by SGLang's own counters."""
    m = run.metrics
    return m["sglang:realtime_tokens_total:prefill"] - m["sglang:prompt_tokens_total"]


def test_shadow_counts_what_sglang_counts(shadow: Run) -> None:
    assert "kvsteady regulates admissions: steady, shadow" in shadow.log
    retracted = shadow.stock["sglang:num_retracted_requests_total"]
    served = shadow.stock["sglang:num_requests_total"]
    assert served == REQUESTS + 2  # SGLang's own first one
    assert retracted > 0
    assert shadow.ours["kvsteady_evicted_total"] == retracted
    assert shadow.ours["kvsteady_admitted_total"] == served + retracted
    # The last token that a retracted request had generated had not been through the model.
    recomputed = prefilled_again(shadow) - retracted
    assert shadow.ours["kvsteady_recomputed_total"] == recomputed > PROMPT * retracted
    assert shadow.ours["kvsteady_held_back_total"] > 0
    prefilled = shadow.metrics["sglang:realtime_tokens_total:prefill"]
    assert shadow.ours["kvsteady_recompute_tax"] == pytest.approx(recomputed / prefilled)


def test_steady_retracts_nobody(on: Run) -> None:
    assert "kvsteady regulates admissions: steady, enforce" in on.log
    assert set(on.stock) == {
        "sglang:num_requests_total",
        "sglang:new_token_ratio",
        "sglang:token_usage",
    }  # SGLang shows no retractions before the first
    assert prefilled_again(on) == 0
    assert on.ours == {
        "kvsteady_evicted_total": 0,
        "kvsteady_recomputed_total": 0,
        "kvsteady_held_back_total": 0,
        "kvsteady_admitted_total": REQUESTS + 2,
        "kvsteady_recompute_tax": 0,
    }
    assert on.metrics["kvsteady_active"] == 1


def test_rolled_back_nothing_of_it_is_left(off: Run) -> None:
    assert off.stock["sglang:num_retracted_requests_total"] > 0
    assert prefilled_again(off) > 0
    assert off.ours == {}
    assert not any(name.startswith("kvsteady") for name in off.metrics)
    assert "kvsteady" not in off.log


def test_outputs_are_the_same_token_for_token(shadow: Run, on: Run, off: Run) -> None:
    assert [len(output) for output in off.outputs] == [OUTPUT] * (REQUESTS + 1)
    assert len({tuple(output) for output in off.outputs}) == REQUESTS + 1
    assert shadow.outputs == off.outputs
    assert on.outputs == off.outputs
