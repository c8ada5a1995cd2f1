"""KV bytes against hand arithmetic: layers × 2 × KV heads × head dim × bytes per number."""

from __future__ import annotations

from collections import Counter

import known_configs as known
import pytest

from kvsteady.errors import InputError
from kvsteady.memory import LayerKind, read_model_config

FULL, SLIDING, LINEAR = LayerKind.FULL, LayerKind.SLIDING, LayerKind.LINEAR


@pytest.mark.parametrize(
    ("config", "per_token"),
    [
        (known.LLAMA_8B, 131_072),  # the number: 32 × 2 × 8 × 128 × 2
        (known.LLAMA_70B, 327_680),  # the number: 80 × 2 × 8 × 128 × 2
        (known.DEEPSEEK_V3, 70_272),  # the number: 61 × (512 + 64) × 2
        (known.DEEPSEEK_V2_LITE, 31_104),  # 27 × 576 × 2
        (known.LLAMA_2_7B, 524_288),  # MHA: 32 × 2 × 32 × 128 × 2
        (known.MISTRAL_7B, 131_072),
        (known.MIXTRAL_8X7B, 131_072),
        (known.QWEN2_5_7B, 57_344),  # 28 × 2 × 4 × 128 × 2
        (known.QWEN3_30B_A3B, 98_304),  # 48 × 2 × 4 × 128 × 2; head_dim is not 2048 / 32
        (known.GEMMA_2_9B, 344_064),  # 42 × 2 × 8 × 256 × 2; head_dim is not 3584 / 16
        (known.GEMMA_3_4B, 139_264),  # 34 × 2 × 4 × 256 × 2, heads by transformers' defaults
        (known.JAMBA, 16_384),  # 4 × 2 × 8 × 128 × 2
        (known.QWEN3_NEXT, 24_576),  # 12 × 2 × 2 × 256 × 2
        (known.NEMOTRON_H_8B, 16_384),  # 4 × 2 × 8 × 128 × 2
        (known.FALCON_7B, 8_192),  # MQA: 32 × 2 × 1 × 64 × 2
        (known.FALCON_40B, 122_880),  # 60 × 2 × 8 × 64 × 2: multi_query is ignored
    ],
)
def test_bytes_per_token_of_published_models(config: known.Config, per_token: int) -> None:
    assert read_model_config(config).bytes_per_token == per_token


def test_gpt2_names_and_a_given_dtype() -> None:
    # 12 × 2 × 12 × 64 × 2: kipply's "Transformer Inference Arithmetic" formula with d_model 768.
    assert read_model_config(known.GPT2, kv_dtype="float16").bytes_per_token == 36_864


def test_starcoder_is_multi_query_and_float32() -> None:
    model = read_model_config(known.STARCODER)
    assert model.bytes_per_token == 40 * 2 * 1 * 128 * 4
    assert any("16 bits" in note for note in model.notes)
    heads = read_model_config(known.STARCODER | {"multi_query": False}).kv_heads
    assert heads == 48


def test_falcon_h1_keeps_kv_and_state_in_every_layer() -> None:
    # A small model of that family: 36 layers, 2 KV heads of 64; Mamba-2 of width 1536, 24 heads,
    # 1 group, state 128, kernel 4. vLLM mamba2_state_shape: 3 × (1536 + 2 × 128) + 1536 × 128.
    model = read_model_config(
        {
            "model_type": "falcon_h1",
            "head_dim": 64,
            "hidden_size": 1024,
            "mamba_d_conv": 4,
            "mamba_d_ssm": 1536,
            "mamba_d_state": 128,
            "mamba_n_groups": 1,
            "mamba_n_heads": 24,
            "num_attention_heads": 8,
            "num_hidden_layers": 36,
            "num_key_value_heads": 2,
            "torch_dtype": "bfloat16",
        }
    )
    assert model.bytes_per_token == 36 * 2 * 2 * 64 * 2
    assert model.bytes_per_sequence == 36 * (3 * 1792 + 1536 * 128) * 2


def test_gpt_oss_has_no_dtype_and_alternating_windows() -> None:
    model = read_model_config(known.GPT_OSS_20B, kv_dtype="bfloat16")
    assert model.bytes_per_token == 24 * 2 * 8 * 64 * 2
    assert model.bytes_per_token_full_attention == 12 * 2 * 8 * 64 * 2
    assert model.sliding_window == 128


@pytest.mark.parametrize("name", ["fp8", "fp8_e4m3", "fp8_e5m2"])
def test_fp8_halves_a_bfloat16_cache(name: str) -> None:
    assert read_model_config(known.LLAMA_8B, kv_dtype=name).bytes_per_token == 65_536
    assert read_model_config(known.LLAMA_8B).with_kv_dtype(name).bytes_per_token == 65_536
    assert read_model_config(known.DEEPSEEK_V3, kv_dtype=name).bytes_per_token == 35_136


def test_quantised_weights_do_not_change_kv_bytes() -> None:
    quantised = known.LLAMA_8B | {"quantization_config": {"quant_method": "awq", "bits": 4}}
    model = read_model_config(quantised)
    assert model.bytes_per_token == 131_072
    assert any("quantised" in note for note in model.notes)


def test_kv_heads_left_out_or_null() -> None:
    # transformers: llama takes as many as attention heads, mistral's default is 8.
    llama = {k: v for k, v in known.LLAMA_8B.items() if k != "num_key_value_heads"}
    assert read_model_config(llama).kv_heads == 32
    assert read_model_config(llama | {"num_key_value_heads": None}).kv_heads == 32
    mistral = {k: v for k, v in known.MISTRAL_7B.items() if k != "num_key_value_heads"}
    assert read_model_config(mistral).kv_heads == 8


@pytest.mark.parametrize(
    ("config", "kinds", "window"),
    [
        (known.LLAMA_8B, {FULL: 32}, None),
        (known.MISTRAL_7B, {SLIDING: 32}, 4096),
        (known.MISTRAL_7B | {"sliding_window": None}, {FULL: 32}, None),
        (known.QWEN2_5_7B, {FULL: 28}, None),
        # Qwen2: layers from max_window_layers on slide (configuration_qwen2.py).
        (
            known.QWEN2_5_7B | {"use_sliding_window": True, "max_window_layers": 20},
            {FULL: 20, SLIDING: 8},
            131_072,
        ),
        (known.GEMMA_2_9B, {FULL: 21, SLIDING: 21}, 4096),
        (known.GEMMA_3_4B, {FULL: 5, SLIDING: 29}, 1024),  # one in six: ⌊34 / 6⌋ full
        (known.JAMBA, {FULL: 4, LINEAR: 28}, None),  # Jamba paper: one attention layer in eight
        (known.QWEN3_NEXT, {FULL: 12, LINEAR: 36}, None),  # model card: 12 × (3 × GDN, 1 × attn)
        # Nemotron-H paper, table 1: 52 layers, 4 of them attention, 24 Mamba-2.
        (known.NEMOTRON_H_8B, {FULL: 4, LINEAR: 24, LayerKind.MLP: 24}, None),
    ],
)
def test_layer_kinds_and_window(
    config: known.Config, kinds: dict[LayerKind, int], window: int | None
) -> None:
    model = read_model_config(config)
    assert Counter(model.layers) == kinds
    assert model.sliding_window == window


def test_positions_of_full_attention_layers() -> None:
    def full(config: known.Config) -> list[int]:
        return [i for i, kind in enumerate(read_model_config(config).layers) if kind is FULL]

    assert full(known.JAMBA) == [4, 12, 20, 28]
    assert full(known.GEMMA_3_4B) == [5, 11, 17, 23, 29]
    assert full(known.GEMMA_2_9B)[:3] == [1, 3, 5]


def test_tokens_beyond_the_window_cost_only_full_attention() -> None:
    assert read_model_config(known.MISTRAL_7B).bytes_per_token_full_attention == 0
    assert read_model_config(known.GEMMA_3_4B).bytes_per_token_full_attention == 5 * 2 * 4 * 256 * 2
    assert read_model_config(known.LLAMA_8B).bytes_per_token_full_attention == 131_072


def test_llama4_chunks_where_positions_are_rotary() -> None:
    # Llama 4: three chunked layers with RoPE, then one without (configuration_llama4.py).
    config = {
        "model_type": "llama4_text",
        "attention_chunk_size": 8192,
        "hidden_size": 5120,
        "num_attention_heads": 40,
        "num_hidden_layers": 8,
        "torch_dtype": "bfloat16",
    }
    expected = [LayerKind.CHUNKED] * 3 + [FULL]
    assert list(read_model_config(config).layers) == expected * 2
    stated = read_model_config(config | {"no_rope_layers": [1, 1, 1, 0] * 2})
    assert list(stated.layers) == expected * 2
    assert stated.sliding_window == 8192


@pytest.mark.parametrize(
    ("config", "size"),
    [
        # vLLM mamba1_state_shape: 28 layers × 8192 × (4 − 1 + 16) × 2 bytes.
        (known.JAMBA, 28 * 8192 * 19 * 2),
        # vLLM gated_delta_net_state_shape: 36 × (3 × (2 × 16 × 128 + 32 × 128) + 32 × 128²) × 2.
        (known.QWEN3_NEXT, 36 * (3 * 8192 + 32 * 128 * 128) * 2),
        # vLLM mamba2_state_shape, recurrent state in float32:
        # 24 × (3 × (128 × 64 + 2 × 8 × 128) × 2 + 128 × 64 × 128 × 4).
        (known.NEMOTRON_H_8B, 24 * (3 * 10_240 * 2 + 128 * 64 * 128 * 4)),
        (known.LLAMA_8B, 0),
    ],
)
def test_state_per_sequence(config: known.Config, size: int) -> None:
    assert read_model_config(config).bytes_per_sequence == size


def test_granite_hybrid_and_lfm2_lists() -> None:
    granite = {
        "model_type": "granitemoehybrid",
        "hidden_size": 4096,
        "layer_types": ["mamba", "mamba", "attention", "mamba"],
        "num_attention_heads": 32,
        "num_hidden_layers": 4,
        "num_key_value_heads": 8,
        "torch_dtype": "bfloat16",
    }
    assert read_model_config(granite).bytes_per_token == 2 * 8 * 128 * 2
    lfm2 = granite | {"model_type": "lfm2", "full_attn_idxs": [2], "layer_types": None}
    model = read_model_config(lfm2)
    assert model.layers == (LayerKind.CONV, LayerKind.CONV, FULL, LayerKind.CONV)
    assert model.bytes_per_sequence == 3 * 2 * 4096 * 2  # kernel 3: two values a channel


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (known.GPT_OSS_20B | {"layer_types": ["ring_attention"] * 24}, "'ring_attention'"),
        (known.LLAMA_8B | {"layer_types": ["linear_attention"] * 32}, "'linear_attention'"),
        (known.NEMOTRON_H_8B | {"hybrid_override_pattern": "M?" * 26}, "'?'"),
        (known.LLAMA_8B | {"model_type": "gemma4_text"}, "'gemma4_text'"),
        (known.LLAMA_8B | {"model_type": "t5", "is_encoder_decoder": True}, "encoder-decoder"),
        (known.GEMMA_3_4B | {"model_type": "mllama"}, "'mllama'"),
        (known.LLAMA_8B | {"torch_dtype": "float8_e4m3fn"}, "'float8_e4m3fn'"),
        (known.DEEPSEEK_V3 | {"index_topk": 2048}, "index_topk"),
        (known.QWEN3_30B_A3B | {"model_type": "qwen2_moe", "use_sliding_window": True}, "slide"),
    ],
)
def test_the_unknown_is_named_never_guessed(config: known.Config, named: str) -> None:
    with pytest.raises(InputError) as caught:
        read_model_config(config, kv_dtype="bfloat16")
    assert named in str(caught.value)


def test_an_unknown_cache_dtype_is_named() -> None:
    with pytest.raises(InputError, match=r"'int3'.*fp8_e4m3"):
        read_model_config(known.LLAMA_8B, kv_dtype="int3")
