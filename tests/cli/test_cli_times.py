"""`--time` of both commands against what is said of the model and its GPUs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import run

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    "vocab_size": 128256, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip
CLASS = ("--class", "16:32")
TOKENS = ("--kv-tokens", "960")
PAPER = ("--engine", "paper")


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    return str(tmp_path)


def simulated(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = run(capsys, "simulate", *CLASS, *PAPER, "--iterations", "50", *arguments)
    assert (code, err) == (0, "")
    return " ".join(out.split())


def test_simulate_says_that_only_capacity_follows_the_gpus(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    counted = ("--model", model, "--gpu-memory", "80GiB")
    said = simulated(capsys, *counted, "--tensor-parallel", "2")
    assert "measured on 1 GPU, while the memory is that of 2 GPUs" in said
    assert "measured on 1 GPU, while" not in simulated(capsys, *counted)


def test_a_roofline_takes_model_and_gpus_beside_kv_tokens(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    given = (*TOKENS, "--model", model, "--gpu", "h100", "--json")
    one, two = (json.loads(simulated(capsys, *given, "--tensor-parallel", count)) for count in "12")
    # Half of the weights per GPU: reading them takes most of such a small iteration.
    assert 0.5 < two["duration"] / one["duration"] < 0.75


@pytest.mark.parametrize("command", ["simulate", "check"])
@pytest.mark.parametrize("time", [(), ("--time", "linear:iteration=0.01")])
def test_tensor_parallel_that_would_change_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], command: str, time: tuple[str, ...]
) -> None:
    code, out, err = run(
        capsys, command, *CLASS, *PAPER, *TOKENS, "--tensor-parallel", "2", *time
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert "--tensor-parallel" in err
    assert "are both given" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rate", "-1"), "field '--rate'"),
        (("--requests", "0"), "field '--requests'"),
        (("--seconds", "-1"), "field '--seconds'"),
        (("--burst", "0@3", "--rate", "1"), "field '--burst'"),
        (("--option", "block_size=0"), "field '--option block_size': paper: 0 is out of range"),
        (("--engine", "vllm", "--option", "watermark=foo"), "vllm: 'foo' cannot stand here"),
        (("--rate-cap", "-3"), "field '--rate-cap'"),
    ],
)
def test_errors_name_the_option(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    engine = () if "--engine" in arguments else PAPER
    code, out, err = run(capsys, "simulate", *CLASS, *engine, *TOKENS, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_switch_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    # An evicted request finds its own blocks again where they are kept.
    recomputed = {}
    for word in ("off", "no", "false", "on"):
        code, out, err = run(
            capsys, "simulate", *CLASS, *TOKENS, "--engine", "vllm", "--option", "block_size=4",
            "--option", "max_num_seqs=1e3", "--option", f"enable_prefix_caching={word}",
            "--iterations", "400", "--json",
        )  # fmt: skip
        assert (code, err) == (0, "")
        recomputed[word] = json.loads(out)["recomputed_tokens"]
    assert recomputed["off"] == recomputed["no"] == recomputed["false"] > recomputed["on"]


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    code, out, err = run(capsys, "check", *CLASS, "--block-size", "1", *arguments, "--json")
    assert (code, err) == (0, "")
    engine = json.loads(out)["engine"]
    assert isinstance(engine, dict)
    return engine


def test_check_takes_linear_times(capsys: pytest.CaptureFixture[str]) -> None:
    found = check(capsys, *TOKENS, *PAPER, "--time", "linear:iteration=0.25")
    assert found["time"].startswith("LinearTime, iteration 0.25")
    for kind in ("greedy", "capped"):
        assert found[kind]["itl_p50_ms"] == pytest.approx(250, rel=0.01)


def test_check_takes_a_roofline(capsys: pytest.CaptureFixture[str], model: str) -> None:
    found = check(capsys, *TOKENS, *PAPER, "--gpu", "h100", "--model", model)
    assert "RooflineTime" in found["time"]


def test_check_says_what_the_times_are_not_of(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    found = check(
        capsys, "--model", model, "--gpu-memory", "17GiB", "--gpu-memory-utilization", "1",
        "--overhead", "0", "--tensor-parallel", "1", "--time", "qwen3-32b_2x-rtx-pro-6000", *PAPER,
    )  # fmt: skip
    assert "measured on 2 GPUs, while the memory is that of 1 GPU" in found["time"]
    assert "measured with Qwen/Qwen3-32B" in found["time"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--time", "linear:iteration=1"), "with --engine"),
        ((*PAPER, "--time", "linear:speed=1"), "is no term"),
        ((*PAPER, "--time", "h100"), "llama-3.1-8b_h100"),
        ((*PAPER, "--time", "roofline"), "--gpu is missing"),
        (("--engine", "transformers", "--block-size", "1"), "--block-size"),
    ],
)
def test_check_refuses_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = run(capsys, "check", *CLASS, *TOKENS, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
