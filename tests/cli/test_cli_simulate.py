"""`kvsteady simulate` from the shell: what is printed and written, what the exit code says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import commands
from kvsteady.cli.waiting import Waiting

TIME = ("--time", "linear:iteration=0.01,prefill=1e-5")
SMALL = ("--engine", "paper", "--class", "16:32", "--kv-tokens", "960", *TIME)
SHORT = (*SMALL, "--iterations", "500")
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return commands.run(capsys, "simulate", *arguments)


def simulated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_theory_predicts_the_loss_under_restart(capsys: pytest.CaptureFixture[str]) -> None:
    # theory, section 4: at best x* = 2M / (l1 (2 l0 + l1 + 1)) = 0.923 requests an iteration, in
    # the worst cycle M / (l1 (l0 + l1)) = 0.625.
    bare = ("--engine", "paper", "--class", "16:32", "--kv-tokens", "960", "--warm-up", "1000")
    steady = ("--time", "linear:iteration=1", "--iterations", "4000")
    greedy = simulated(capsys, *bare, *steady)
    capped = simulated(capsys, *bare, *steady, "--rate-cap", "0.9")
    assert greedy["setup"]["eviction"] == "restart"
    assert greedy["request_throughput"] == pytest.approx(0.625, abs=2e-3)
    assert capped["request_throughput"] == pytest.approx(0.9, abs=2e-3)
    assert (greedy["outcome"], capped["outcome"]) == ("evicting", "steady")
    assert capped["num_preemptions_total"] == 0


@pytest.mark.parametrize("columns", ["160", "70"])
def test_the_summary_names_what_matters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, out, err = run(capsys, *SHORT, "--eviction", "resume", "--goodput", "tpot:15")
    assert (code, err) == (0, "")
    for word in ("evicting", "resume", "Recompute tax", "TTFT", "p99", "Goodput", "rate cap"):
        assert word in " ".join(out.split())
    assert all(len(line) <= int(columns) for line in out.splitlines())


def test_a_run_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys, str(EXAMPLES / "burst.yaml"))
    assert found["name"] == "a burst, under restart"
    other = simulated(capsys, str(EXAMPLES / "burst.yaml"), "--seed", "1")
    assert other["completed"] != found["completed"]


def test_options_and_the_file_say_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "workload: {classes: [{prompt: 16, output: 32}]}\n"
        "engine: {name: vllm, options: {block_size: 4, enable_prefix_caching: false}}\n"
        "memory: {kv_tokens: 960}\nload: {kind: poisson, rate: 50}\nrequests: 400\nseed: 7\n"
        "time: {kind: linear, iteration: 0.01}\nreplicas: 2\nrouter: least-requests\n"
    )
    by_file = simulated(capsys, str(path))
    by_options = simulated(
        capsys, "--class", "16:32", "--engine", "vllm", "--option", "block_size=4", "--option",
        "enable-prefix-caching=false", "--kv-tokens", "960", "--rate", "50", "--requests", "400",
        "--seed", "7", "--time", "linear:iteration=0.01", "--replicas", "2", "--router",
        "least-requests",
    )  # fmt: skip
    assert by_options == by_file
    assert by_file["replicas"][0]["engine"] == "vllm-0.32.0"


def test_everything_that_can_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    pytest.importorskip("pyarrow")
    code, out, err = run(
        capsys, *SHORT, "--out", str(tmp_path / "run"), "--html", str(tmp_path / "page.html"),
        "--chrome-trace", str(tmp_path / "trace.json"), "--window", "1s:2s", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert (tmp_path / "run" / "simulation.json").read_text() == out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "iterations.parquet",
        "requests.parquet",
        "simulation.json",
    ]
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run", "trace.json"]


def test_memory_and_speed_from_a_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 128256, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    found = simulated(
        capsys, "--preset", "fixed-batch", "--engine", "paper", "--option", "block_size=16",
        "--model", str(path), "--gpu-memory", "80GiB", "--gpu-memory-utilization", "0.9",
        "--overhead", "0", "--gpu", "h100", "--iterations", "200",
    )  # fmt: skip
    # As in test_check: 80 GiB · 0.9 less 8,030,261,248 weights of 2 bytes, in blocks of 16.
    blocks = (80 * 2**30 * 9 // 10 - 2 * 8_030_261_248) // (16 * 131_072)
    assert found["replicas"][0]["kv_tokens"] == blocks * 16
    assert "RooflineTime" in found["replicas"][0]["time"]


@pytest.mark.parametrize(
    ("limit", "code"), [("evicting", 1), ("overloaded", 0), ("livelocked", 0), (None, 0)]
)
def test_fail_on_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], limit: str | None, code: int
) -> None:
    extra = () if limit is None else ("--fail-on", limit)
    assert run(capsys, *SHORT, "--json", *extra)[0] == code


BAD = [
    (("--class", "1:2"), "--kv-tokens is missing"),
    ((*SMALL, "--preset", "chat"), "both given"),
    (("--kv-tokens", "900"), "no workload given"),
    ((*SMALL[2:], "--engine", "x"), "tensorrt-llm"),
    ((*SMALL, "--option", "blocks=3"), "block_size"),
    ((*SMALL, "--option", "block_size"), "NAME=VALUE"),
    ((*SMALL, "--option", "block_size=big"), "block_size"),
    ((*SMALL, "--load", "poisson"), "--rate is missing"),
    ((*SMALL, "--load", "closed"), "--clients is missing"),
    ((*SMALL, "--load", "trace"), "arrival times"),
    ((*SMALL, "--load", "saturated", "--rate", "3"), "--rate does not go with"),
    ((*SMALL, "--cv", "3"), "--rate is missing"),
    ((*SMALL, "--think", "3"), "--think does not go with"),
    ((*SMALL, "--burst", "many", "--rate", "1"), "300@60"),
    ((*SMALL, "--rate", "0"), "above 0"),
    ((*SMALL, "--rate-cap", "x"), "or auto"),
    ((*SMALL, "--rate-cap", "0"), "above 0"),
    ((*SMALL, "--policy", "none"), "steady"),
    ((*SMALL, "--policy", "kv-watermark:spare=1"), "watermark=NUMBER"),
    ((*SMALL, "--policy", "max-active:requests=x"), "a number"),
    ((*SMALL, "--policy", "max-active:requests=nan"), "--policy requests"),
    ((*SMALL, "--policy", "rate-cap:rate=nan"), "--policy rate"),
    ((*SMALL, "--policy", "wait:rate=inf"), "at most 1,000,000"),
    ((*SMALL, "--policy", "steady", "--rate-cap", "auto"), "one of the two"),
    ((*SMALL, "--replicas", "0"), "1 to 4096"),
    ((*SMALL, "--replicas", "2", "--router", "nearest"), "round-robin"),
    ((*SMALL, "--warm-up", "1e9", "--iterations", "5"), "warm_up"),
    ((*SMALL, "--goodput", "itl:3"), "ttft:MS"),
    ((*SMALL, "--html", "report.pdf"), "report.pdf"),
    ((*SMALL, "--html", "report.txt"), "'.txt' (allowed: .html)"),
    ((*SMALL, "--html", "report.json"), "'.json' (allowed: .html)"),
    ((*SMALL[:-4], "--kv-tokens", "40", *TIME), "prompt 16 and output 32, needs 48 blocks"),
    ((*SMALL, "--html", "/nowhere/report.html"), "/nowhere"),
    ((*SMALL, "--chrome-trace", "t.json"), "--window is missing"),
    ((*SMALL, "--window", "1:2"), "--chrome-trace is missing"),
    ((*SMALL, "--chrome-trace", "t.json", "--window", "2:1"), "10s:12s"),
    ((*SMALL, "--seed", "-1"), "seed"),
    ((*SMALL, "--bogus"), "--bogus"),
    (("/nowhere/run.yaml",), "/nowhere/run.yaml"),
    ((str(EXAMPLES / "burst.yaml"), "--kv-tokens", "5"), "--kv-tokens and a run file"),
    ((*SMALL[:-2], "--time", "linear:speed=3"), "is no term"),
    ((*SMALL[:-2], "--time", "linear:iteration=0"), "no time would pass"),
    ((*SMALL[:-2], "--time", "h100"), "llama-3.1-8b_h100"),
    ((*SMALL[:-2], "--time", "roofline"), "--gpu is missing"),
    ((*SMALL[:-2], "--gpu", "h100"), "model"),
    ((*SMALL, "--gpu", "h100"), "--gpu does not go with"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("kvsteady: error: ")
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_readable_tables(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    command = [
        sys.executable, "-m", "kvsteady", "simulate", *SMALL, "--requests", "1000000000",
        "--out", str(tmp_path),
    ]  # fmt: skip
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    # Until the first row group is in the temporary file.
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size > 100_000 for path in tmp_path.iterdir()):
        assert running.poll() is None
        assert time.monotonic() < deadline
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "kvsteady: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "iterations.parquet",
        "requests.parquet",
    ]
    table = parquet.read_table(tmp_path / "requests.parquet")
    assert table.num_rows > 1000
    ids = table["id"].to_pylist()
    assert len(set(ids)) == len(ids)


def test_help_needs_no_kernel() -> None:
    code = (
        "import sys\n"
        "from kvsteady.cli import main\n"
        "try:\n    main(['simulate', '--help'])\n"
        "except SystemExit as stopped:\n    code = stopped.code\n"
        "print(code, 'numba' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "0 False\n"
    assert "--chrome-trace" in done.stdout


@pytest.mark.parametrize("terminal", [True, False])
def test_waiting_words_end_with_the_first_report(terminal: bool) -> None:
    seen: list[tuple[int, int | None]] = []
    console = Console(file=StringIO(), force_terminal=terminal)
    with Waiting("Preparing", console, lambda done, total: seen.append((done, total))) as progress:
        progress(1, 2)
        assert progress._timer.finished.is_set() == terminal  # cancelled, where it ran
        progress(2, 2)
    assert seen == [(1, 2), (2, 2)]


def test_a_policy_by_name_is_asked_and_named_in_the_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = simulated(
        capsys,
        *("--class", "16:32", "--kv-tokens", "960", "--option", "block_size=1"),
        *("--requests", "600", "--policy", "steady"),
    )
    assert found["num_preemptions_total"] == 0
    assert found["replicas"][0]["policy"] == "Steady(risk=2.0)"  # type: ignore[index]
