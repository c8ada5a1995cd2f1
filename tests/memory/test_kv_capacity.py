from __future__ import annotations

from typing import Any

import known_configs as known
import pytest

from kvsteady.errors import InputError
from kvsteady.memory import kv_capacity, read_model_config

GIB = 1024**3


def test_matches_what_vllm_logged_for_llama_8b_on_an_h100() -> None:
    # vllm pull request 10511, `vllm serve meta-llama/Meta-Llama-3-8B`: 79.22 GiB in all, 0.90 of
    # it usable, weights 14.96 GiB, 1.79 + 1.26 GiB for the rest, 53.29 GiB left for the KV cache.
    memory = kv_capacity(known.LLAMA_8B, gpu_memory="79.22GiB", utilisation=0.9, overhead="3.05GiB")
    assert memory.weights_bytes_per_gpu / GIB == pytest.approx(14.96, abs=0.01)
    assert memory.available_bytes / GIB == pytest.approx(53.29, abs=0.02)
    assert memory.kv_tokens == pytest.approx(53.29 * GIB / 131_072, rel=1e-3)


def test_the_arithmetic_by_hand() -> None:
    # 100,000,000,000 × 0.9 − 16,060,522,496 − 1,000,000,000 = 72,939,477,504 bytes,
    # over 16 × 131,072 = 2,097,152 a block: 34,780 whole blocks.
    memory = kv_capacity(
        known.LLAMA_8B, gpu_memory=100_000_000_000, utilisation=0.9, overhead="1GB"
    )
    assert memory.available_bytes == 72_939_477_504
    assert (memory.blocks, memory.kv_tokens) == (34_780, 556_480)
    assert memory.bytes_per_token == memory.bytes_per_token_per_gpu == 131_072


def test_tensor_parallel_divides_weights_and_heads() -> None:
    memory = kv_capacity(known.LLAMA_70B, gpu_memory="80GiB", tensor_parallel=4)
    assert memory.weights_bytes_per_gpu == 70_553_706_496 * 2 // 4
    assert memory.bytes_per_token_per_gpu == 327_680 // 4
    assert memory.bytes_per_token == 327_680


def test_kv_heads_are_replicated_beyond_their_number() -> None:
    memory = kv_capacity(known.QWEN3_30B_A3B, gpu_memory="80GiB", tensor_parallel=8)
    assert memory.bytes_per_token_per_gpu == 98_304 // 4  # one of 4 heads on each of 8 GPUs
    assert any("4 KV heads replicated over 8" in note for note in memory.notes)


def test_mla_is_replicated_whole() -> None:
    memory = kv_capacity(known.DEEPSEEK_V3, gpu_memory="141GiB", tensor_parallel=8, weights="689GB")
    assert memory.bytes_per_token_per_gpu == memory.bytes_per_token == 70_272
    assert any("holds every token's vector whole" in note for note in memory.notes)


def test_the_largest_pipeline_stage_decides() -> None:
    # vLLM get_pp_indices splits 126 layers over 4 stages into 31, 32, 32, 31.
    memory = kv_capacity(
        known.LLAMA_405B, gpu_memory="141GiB", tensor_parallel=4, pipeline_parallel=4
    )
    assert memory.bytes_per_token_per_gpu == 32 * 2 * 2 * 128 * 2
    one = kv_capacity(known.LLAMA_70B, gpu_memory="200GiB")
    two = kv_capacity(known.LLAMA_70B, gpu_memory="200GiB", pipeline_parallel=2)
    assert two.bytes_per_token_per_gpu == 327_680 // 2
    assert two.kv_tokens > 2 * one.kv_tokens  # half the KV a token, and half the weights


def test_a_stage_without_attention_sets_no_bound() -> None:
    # 16 stages of two layers: attention only where i mod 8 = 4, in 4 of the stages.
    memory = kv_capacity(known.JAMBA, gpu_memory="24GiB", pipeline_parallel=16, weights="52GB")
    assert memory.bytes_per_token_per_gpu == 2 * 8 * 128 * 2


def test_fp8_doubles_the_tokens_of_a_read_model() -> None:
    model = read_model_config(known.LLAMA_8B)
    half = kv_capacity(model, gpu_memory="80GiB", block_size=1)
    full = kv_capacity(model, gpu_memory="80GiB", block_size=1, kv_dtype="fp8")
    assert full.kv_tokens - 2 * half.kv_tokens in (0, 1)


def test_more_memory_never_holds_fewer_tokens() -> None:
    tokens = [kv_capacity(known.LLAMA_8B, gpu_memory=f"{g}GiB").kv_tokens for g in range(24, 97)]
    assert tokens == sorted(tokens)
    assert all(count % 16 == 0 for count in tokens)


def test_assumptions_are_stated() -> None:
    def notes(config: known.Config, **kwargs: Any) -> str:
        memory = kv_capacity(config, gpu_memory="80GiB", weights="10GB", **kwargs)
        assert all("\n" not in note for note in memory.notes)
        return "; ".join(memory.notes)

    assert "start-up log" in notes(known.LLAMA_8B)
    assert "beyond the window of 4,096" in notes(known.MISTRAL_7B)
    assert "beyond the window" not in notes(known.LLAMA_8B)
    # 36 × 548,864 × 2 = 39,518,208 bytes of state, the room of 1,608 tokens of 24,576 bytes.
    assert "39,518,208 B more, the room of 1,608 tokens" in notes(known.QWEN3_NEXT)
    # On each of 4 GPUs a quarter of the state, but one of the 2 KV heads, twice replicated.
    assert "the room of 804 tokens" in notes(known.QWEN3_NEXT, tensor_parallel=4)


def test_weights_that_do_not_fit_are_named_in_numbers() -> None:
    with pytest.raises(InputError) as caught:
        kv_capacity(known.LLAMA_70B, gpu_memory="80GiB")
    message = str(caught.value)
    assert "131.42 GiB" in message  # 141,107,412,992 bytes
    assert "73.60 GiB" in message  # 0.92 of it
    assert "80.00 GiB" in message


def test_no_room_for_one_block() -> None:
    exact = 16_060_522_496 + 16 * 131_072
    fits = {"utilisation": 1.0, "overhead": 0}
    assert kv_capacity(known.LLAMA_8B, gpu_memory=exact, **fits).blocks == 1
    with pytest.raises(InputError, match="no room"):
        kv_capacity(known.LLAMA_8B, gpu_memory=exact - 1, **fits)


@pytest.mark.parametrize(
    ("field", "value"),
    [(name, bad) for name in ("gpu_memory", "weights") for bad in (0, -1, "x", "", 10**300)]
    + [("utilisation", bad) for bad in (0, -0.1, 1.01, float("nan"), "0.9", True, 10**300)]
    + [
        (name, bad)
        for name in ("tensor_parallel", "pipeline_parallel", "block_size")
        for bad in (0, -1, 1.0, "2", True, 10**300, float("nan"))
    ]
    + [("tensor_parallel", 3), ("pipeline_parallel", 33), ("overhead", -1), ("kv_dtype", 8)],
)
def test_bad_arguments_are_named(field: str, value: object) -> None:
    arguments: dict[str, Any] = {"gpu_memory": "80GiB", field: value}
    with pytest.raises(InputError) as caught:
        kv_capacity(known.LLAMA_8B, **arguments)
    assert caught.value.field == field
    assert len(str(caught.value)) < 250


def test_a_model_without_attention_has_no_kv_cache() -> None:
    with pytest.raises(InputError, match="no attention layer"):
        kv_capacity(known.JAMBA | {"num_hidden_layers": 4}, gpu_memory="80GiB", weights="1GB")
