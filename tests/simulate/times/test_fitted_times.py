"""The iteration times that come with the package."""

from __future__ import annotations

import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.times import FITTED, fitted_time, iteration_seconds, roofline

GPU_OF = {
    "llama-3.1-8b_a100": "a100",
    "llama-3.1-8b_h100": "h100",
    "llama-3.1-8b_rtx-pro-6000": "rtx-pro-6000",
    "qwen3-32b_2x-rtx-pro-6000": "rtx-pro-6000",
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
QWEN = {
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_size": 5120,
    "intermediate_size": 25600,
    "num_attention_heads": 64,
    "num_hidden_layers": 64,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}
WORK = [(0, 1, 1024), (0, 64, 65_536), (0, 128, 131_072), (512, 32, 32_768), (2048, 0, 0)]


def seconds(time, prefill, decode, kv) -> float:
    pairs = prefill**2 / 2
    return iteration_seconds(
        time.form(), float(prefill > 0), float(prefill), float(decode), float(kv), pairs
    )


def test_all_are_known_here() -> None:
    assert tuple(sorted(GPU_OF)) == FITTED


@pytest.mark.parametrize("name", FITTED)
def test_each_says_where_it_is_from(name: str) -> None:
    entry = fitted_time(name)
    assert entry.model
    assert entry.engine.startswith("vLLM ")
    assert len(entry.source) > 40
    assert entry.licence
    assert entry.notes


@pytest.mark.parametrize("name", FITTED)
def test_each_lies_where_a_roofline_puts_it(name: str) -> None:
    # Measured beside derived: a wrong unit or a swapped axis is off by far more. Two cards that
    # exchange over PCIe take up to 1.75 times as long for a prefill as its peak rate says.
    entry = fitted_time(name)
    config = QWEN if "Qwen" in entry.model else LLAMA
    derived = roofline(config, GPU_OF[name], tensor_parallel=entry.tensor_parallel)
    most = 1.35 if entry.tensor_parallel == 1 else 1.8
    for work in WORK:
        assert 0.8 < seconds(entry, *work) / seconds(derived, *work) < most, work


@pytest.mark.parametrize("name", FITTED)
def test_more_work_takes_longer(name: str) -> None:
    entry = fitted_time(name)
    for p, d, kv in WORK:
        # Measured operators are not monotone to the last percent.
        assert seconds(entry, p + 512, d, kv) > 0.97 * seconds(entry, p, d, kv)
        assert seconds(entry, p, d + 64, kv) > 0.95 * seconds(entry, p, d, kv)
        assert seconds(entry, p, d, 2 * kv + 65_536) > 0.99 * seconds(entry, p, d, kv)


def test_an_h100_is_faster_than_an_a100() -> None:
    h100, a100 = fitted_time("llama-3.1-8b_h100"), fitted_time("llama-3.1-8b_a100")
    for work in WORK:
        assert seconds(h100, *work) < seconds(a100, *work)


def test_an_unknown_name() -> None:
    with pytest.raises(InputError, match=r"llama-3\.1-8b_h100"):
        fitted_time("gpt-5_h100")
