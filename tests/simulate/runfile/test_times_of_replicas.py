"""Iteration times of a run file against the model and the GPUs that the memory is counted from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.runfile import read_scenario
from kvsteady.simulate.simulate import simulate
from kvsteady.simulate.times import FITTED, FittedTime, fitted_time, iteration_seconds, roofline

# The config.json of each as published on Hugging Face, as far as it is read.
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    "vocab_size": 128256, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip
QWEN = {
    "model_type": "qwen3", "num_hidden_layers": 64, "hidden_size": 5120, "head_dim": 128,
    "num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 25600,
    "vocab_size": 151936, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "llama.json").write_text(json.dumps(LLAMA))
    (tmp_path / "qwen.json").write_text(json.dumps(QWEN))
    return tmp_path


def scenario(folder: Path, memory: str, more: str = "") -> Any:
    path = folder / "run.yaml"
    path.write_text(
        f"workload: {{preset: three-tiers}}\nrequests: 20\nengine: paper\nmemory: {memory}\n{more}"
    )
    return read_scenario(path)


def time_of(made: Any) -> Any:
    return made.replicas[0].time


def odd(made: Any) -> tuple[str, ...]:
    """What is said of the time where it is not that of the replica."""
    found = time_of(made)
    assert isinstance(found, FittedTime)
    return found.remarks


def test_memory_of_more_gpus_than_were_measured_is_said(folder: Path) -> None:
    counted = "{model: llama.json, gpu_memory: 80GiB, tensor_parallel: 2}"
    made = scenario(folder, counted)
    (note,) = odd(made)
    assert note.startswith("measured on 1 GPU, while the memory is that of 2 GPUs")
    run = simulate(made)
    assert f"Iteration times: {note}" in run.notes
    assert not odd(scenario(folder, counted.replace(", tensor_parallel: 2", "")))
    stages = counted.replace("tensor_parallel", "pipeline_parallel")
    assert len(odd(scenario(folder, stages))) == 1


def test_times_over_two_gpus_on_one(folder: Path) -> None:
    time = "time: qwen3-32b_2x-rtx-pro-6000\n"
    counted = "{model: qwen.json, gpu_memory: 96GiB, tensor_parallel: 2}"
    assert odd(scenario(folder, counted, time)) == ()
    (note,) = odd(scenario(folder, counted.replace("el: 2", "el: 1"), time))
    assert note.startswith("measured on 2 GPUs, while the memory is that of 1 GPU:")


def test_another_model_than_was_measured_is_said(folder: Path) -> None:
    (note,) = odd(scenario(folder, "{model: qwen.json, gpu_memory: 96GiB}"))
    assert "measured with meta-llama/Llama-3.1-8B (llama with 32 layers" in note
    assert "the model is qwen3 with 64 layers, 64 heads and 8 KV heads of 128" in note
    # Also where the KV tokens are given; how many GPUs they are of is not known then.
    assert len(odd(scenario(folder, "{model: qwen.json, kv_tokens: 10000}"))) == 1
    assert not odd(scenario(folder, "{model: llama.json, kv_tokens: 10000}"))
    assert not odd(scenario(folder, "{kv_tokens: 10000}", "time: qwen3-32b_2x-rtx-pro-6000\n"))


@pytest.mark.parametrize("name", FITTED)
def test_every_fitted_time_knows_its_model(name: str) -> None:
    shape = fitted_time(name).shape
    expected = QWEN if "qwen" in name else LLAMA
    assert shape is not None
    assert shape.model_type == expected["model_type"]
    assert shape.layers == expected["num_hidden_layers"]
    assert shape.attention_heads == expected["num_attention_heads"]
    assert (shape.kv_heads, shape.head_dim) == (8, 128)


@pytest.mark.parametrize(
    "given",
    [
        "tensor_parallel: 2", "tensor_parallel: 1", "pipeline_parallel: 2", "gpu_memory: 80GiB",
        "gpu_memory_utilization: 0.9", "overhead: 1GiB", "weights_memory: 16GiB",
    ],
)  # fmt: skip
def test_what_changes_nothing_beside_kv_tokens_is_refused(folder: Path, given: str) -> None:
    name = given.partition(":")[0]
    with pytest.raises(InputError, match=f"{name} and kv_tokens are both given") as caught:
        scenario(folder, f"{{kv_tokens: 10000, {given}}}")
    assert (caught.value.line, caught.value.field) == (4, f"memory.{name}")


def test_a_roofline_follows_the_tensor_parallelism_beside_kv_tokens(folder: Path) -> None:
    memory = "{kv_tokens: 10000, model: llama.json, tensor_parallel: 2}"
    made = scenario(folder, memory, "time: {kind: roofline, gpu: h100}\n")
    assert time_of(made) == roofline(folder / "llama.json", "h100", tensor_parallel=2)


class _Handle:
    """Stands for the library: 1 ms per decoding request, 10 µs per prefill token."""

    asked: tuple[Any, ...] = ()

    @classmethod
    def compile(cls, *arguments: Any, **options: Any) -> _Handle:
        cls.asked = (*arguments, options)
        return cls()

    def decode_step_latency(self, requests: int, context: int, _: int) -> float:
        del context
        return float(requests)

    def mixed_step_breakdown(self, tokens: int, *_: int) -> tuple[float, float, float, float]:
        return 0.0, 0.01 * tokens, 0.0, 0.0


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[_Handle]:
    engine: Any = ModuleType("aiconfigurator_core.sdk.engine")
    engine.EngineHandle = _Handle
    for name in ("aiconfigurator_core", "aiconfigurator_core.sdk"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    return _Handle


def test_operator_tables_from_a_run_file(folder: Path, library: type[_Handle]) -> None:
    time = (
        "time:\n  kind: aiconfigurator\n  model: meta-llama/Meta-Llama-3.1-8B\n"
        "  system: h100_sxm\n  backend: sglang\n  most_decode: 64\n"
    )
    made = scenario(folder, "{kv_tokens: 10000, tensor_parallel: 2}", time)
    assert library.asked == (
        "meta-llama/Meta-Llama-3.1-8B", "h100_sxm", "sglang",
        {"backend_version": None, "tp_size": 2},
    )  # fmt: skip
    form = time_of(made).form()
    assert iteration_seconds(form, 0.0, 0.0, 64.0, 64e3, 0.0) == pytest.approx(0.064)
    assert iteration_seconds(form, 1.0, 1000.0, 0.0, 0.0, 0.0) == pytest.approx(0.01)
    run = simulate(made)
    assert run.completed >= 20
    assert "Llama-3.1-8B on 2 × h100_sxm, sglang" in run.replicas[0].time


def test_operators_on_other_gpus_than_the_memory(folder: Path, library: type[_Handle]) -> None:
    del library
    time = "time: {kind: aiconfigurator, model: x, system: h100_sxm, tensor_parallel: 4}\n"
    assert len(odd(scenario(folder, "{model: llama.json, gpu_memory: 80GiB}", time))) == 1


def test_a_bad_operator_table_is_named_with_its_line(folder: Path, library: type[_Handle]) -> None:
    del library
    time = "time:\n  kind: aiconfigurator\n  model: x\n  system: y\n  most_decode: 1\n"
    with pytest.raises(InputError) as caught:
        scenario(folder, "{kv_tokens: 10000}", time)
    assert (caught.value.line, caught.value.field) == (9, "time.most_decode")
