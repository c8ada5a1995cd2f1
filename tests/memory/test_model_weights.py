"""Parameter counts against the totals published with the checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import known_configs as known
import pytest

from kvsteady.errors import InputError
from kvsteady.memory import model_weights, parameter_count, read_model_config

Writer = Callable[[dict[str, Any]], Path]


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # Hugging Face model API, field safetensors.total.
        (known.LLAMA_2_7B, 6_738_415_616),  # the API adds 2,048 of rotary buffers (32 × 64)
        (known.LLAMA_8B, 8_030_261_248),
        (known.LLAMA_70B, 70_553_706_496),
        (known.LLAMA_405B, 405_853_388_800),
        (known.LLAMA_3_2_1B, 1_235_814_400),  # tied embedding
        (known.MISTRAL_7B, 7_241_732_096),
        (known.MIXTRAL_8X7B, 46_702_792_704),
        (known.QWEN2_5_7B, 7_615_616_512),
        (known.QWEN3_0_6B, 596_049_920),  # tied embedding, counted once
        (known.QWEN3_30B_A3B, 30_532_122_624),
        (known.DEEPSEEK_V2_LITE, 15_706_484_224),
        # Tensors of the main model in the checkpoint, without MTP and FP8 scales.
        (known.DEEPSEEK_V3, 671_026_419_200),
    ],
)
def test_parameters_of_published_models(config: known.Config, parameters: int) -> None:
    assert parameter_count(read_model_config(config)).total == parameters


def test_llama_biases_are_counted() -> None:
    # Four projections with 4096 + 1024 + 1024 + 4096 biases, MLP with 14336 + 14336 + 4096.
    biased = known.LLAMA_8B | {"attention_bias": True, "mlp_bias": True}
    extra = 32 * (10_240 + 32_768)
    assert parameter_count(read_model_config(biased)).total == 8_030_261_248 + extra


def test_bytes_follow_the_dtype() -> None:
    assert model_weights(read_model_config(known.LLAMA_8B)).total == 16_060_522_496
    single = known.LLAMA_8B | {"torch_dtype": "float32"}
    assert model_weights(read_model_config(single)).total == 32_121_044_992


def test_stages_hold_their_ends_and_add_up() -> None:
    sizes = parameter_count(read_model_config(known.LLAMA_8B))
    first = sizes.stage(16, 32, first=True, last=False)
    last = sizes.stage(16, 32, first=False, last=True)
    assert first == last == sizes.total / 2  # both ends are 128256 × 4096
    tied = parameter_count(read_model_config(known.LLAMA_3_2_1B))
    halves = [tied.stage(8, 16, first=first, last=not first) for first in (True, False)]
    assert sum(halves) == tied.total + 128_256 * 2048  # the last stage holds a copy


def test_the_index_beside_the_config_is_preferred(write_config: Writer) -> None:
    path = write_config(known.DEEPSEEK_V3)
    index = path.with_name("model.safetensors.index.json")
    for total in (688_586_727_753, 688_586_727_753.0):
        index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": {}}))
        weights = model_weights(read_model_config(path))
        assert weights.total == 688_586_727_753
        assert "index.json" in weights.note
    assert model_weights(read_model_config(path), "700GB").total == 700_000_000_000


@pytest.mark.parametrize(
    "content",
    [{}, {"metadata": {}}, {"metadata": 3}]
    + [{"metadata": {"total_size": bad}} for bad in (0, -1, "9", True, 1.5, 10**300, None)],
)
def test_a_bad_index_names_itself(write_config: Writer, content: object) -> None:
    path = write_config(known.LLAMA_8B)
    path.with_name("model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json"):
        model_weights(read_model_config(path))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (known.DEEPSEEK_V3, "quantised"),
        (known.GEMMA_2_9B, "'gemma2'"),
        (known.GEMMA_3_4B, "'gemma3_text'"),
        (known.JAMBA, "'jamba'"),
        ({k: v for k, v in known.LLAMA_8B.items() if k != "torch_dtype"}, "torch_dtype"),
        ({k: v for k, v in known.LLAMA_8B.items() if k != "vocab_size"}, "vocab_size"),
        ({k: v for k, v in known.QWEN3_30B_A3B.items() if k != "num_experts"}, "num_experts"),
    ],
)
def test_what_cannot_be_counted_is_named(config: known.Config, named: str) -> None:
    model = read_model_config(config, kv_dtype="bfloat16")
    with pytest.raises(InputError) as caught:
        model_weights(model)
    assert named in str(caught.value)
    if "missing" not in str(caught.value):
        assert "--weights-memory" in str(caught.value)
