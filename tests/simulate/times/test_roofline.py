"""Rooflines against hand computation, and against times that others measured."""

from __future__ import annotations

import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.times import GPU, GPUS, iteration_seconds, roofline

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
# Llama-3.1-8B's model card: 8,030,261,248 parameters; embedding and head have 128,256 × 4,096 each.
TOTAL, TABLE = 8_030_261_248, 128_256 * 4096
ROUND = GPU(flops=1e12, bandwidth=1e9, link=1e8)


def seconds(time, prefill, decode, kv, pairs=0.0) -> float:
    return iteration_seconds(
        time.form(), float(prefill > 0), float(prefill), float(decode), float(kv), pairs
    )


def test_each_part_by_hand() -> None:
    time = roofline(LLAMA, ROUND, compute_efficiency=0.5, bandwidth_efficiency=0.25, overhead=0)
    assert time.weights == pytest.approx(2 * (TOTAL - TABLE) / 0.25e9)
    assert time.prefill == pytest.approx(2 * (TOTAL - 2 * TABLE) / 0.5e12)
    assert time.decode == pytest.approx(2 * (TOTAL - TABLE) / 0.5e12)
    # 32 layers, 8 KV heads of 128 numbers of 2 bytes, a key and a value
    assert time.kv_read == pytest.approx(32 * 2 * 8 * 128 * 2 / 0.25e9)
    # 32 layers, 32 heads of 128, a multiply-add each for the score and for the value
    assert time.prefill_pairs == pytest.approx(32 * 32 * 128 * 4 / 0.5e12)
    assert time.exchange == time.overhead == 0.0


def test_tensor_parallelism_divides_all_but_the_exchange() -> None:
    one, four = (roofline(LLAMA, ROUND, tensor_parallel=tp, overhead=0) for tp in (1, 4))
    for part in ("weights", "prefill", "decode", "kv_read", "prefill_pairs"):
        assert getattr(four, part) == pytest.approx(getattr(one, part) / 4)
    # 2 all-reduces a layer; each GPU of a ring of 4 sends 2·3/4 of 4,096 numbers of 2 bytes
    assert four.exchange == pytest.approx(64 * 1.5 * 4096 * 2 / 1e8)
    assert four.overhead == pytest.approx(64 * 10e-6)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_overlap_goes_from_the_sum_to_the_larger(overlap: float) -> None:
    time = roofline(LLAMA, "h100", overlap=overlap)
    for tokens in (8, 250, 4096):
        compute, memory = time.prefill * tokens, time.weights
        hidden = overlap * min(compute, memory)
        expected = compute + memory - hidden + time.overhead
        assert seconds(time, tokens, 0, 0) == pytest.approx(expected)
    summed = time.summed()
    assert seconds(summed, 100, 9, 1e4, 5e3) >= seconds(time, 100, 9, 1e4, 5e3) * (1 - 1e-12)
    if overlap == 0.0:
        assert seconds(summed, 100, 9, 1e4, 5e3) == pytest.approx(seconds(time, 100, 9, 1e4, 5e3))


@pytest.mark.parametrize(
    ("gpu", "prefill", "decode", "kv", "measured", "within"),
    [
        # InferenceBench, concurrency 1, median TPOT (vLLM 0.21.0, H100 80 GB, 16 bit)
        ("h100", 0, 1, 1000, 6.48e-3, 0.15),
        # johnmusgrave.com, about 75 tokens/s of one request of 1,024 + 128 tokens (vLLM 0.23.0)
        ("a100-40gb", 0, 1, 1088, 1 / 75, 0.15),
        # aiconfigurator-core 0.12.0, vllm 0.24.0 and 0.14.0: sums of measured operators
        ("h100", 0, 104, 105_040, 11.66e-3, 0.2),
        ("h100", 2033, 15, 16_110, 43.9e-3, 0.2),
        ("a100", 0, 1, 1024, 11.86e-3, 0.2),
        ("a100", 0, 128, 166_400, 27.4e-3, 0.2),
        ("a100", 665, 31, 32_922, 49.7e-3, 0.2),
        # single iterations of the recorded vLLM 0.19.0 run of LLMServingSim, by its time stamps
        ("rtx-pro-6000", 0, 104, 105_111, 23.2e-3, 0.15),
        ("rtx-pro-6000", 2033, 15, 16_116, 91.3e-3, 0.15),
        ("rtx-pro-6000", 665, 31, 32_921, 42.4e-3, 0.25),
    ],
)
def test_llama_3_8b_beside_measured_times(gpu, prefill, decode, kv, measured, within) -> None:
    found = seconds(roofline(LLAMA, gpu), prefill, decode, kv, prefill**2 / 2)
    assert found == pytest.approx(measured, rel=within)


@pytest.mark.parametrize(
    ("tokens", "layer_ms"),
    [
        # microsoft/vidur, data/profiling/compute/a100/meta-llama/Meta-Llama-3-8B/mlp.csv: medians
        # of all operators of a layer but attention, tensor parallel 1
        (1, 0.005 + 0.033 + 0.004 + 0.025 + 0.005 + 0.142 + 0.011 + 0.076 + 0.002),
        (64, 0.004 + 0.037 + 0.005 + 0.027 + 0.004 + 0.173 + 0.011 + 0.088 + 0.003),
        (32_768, 0.826 + 7.260 + 0.776 + 4.926 + 0.814 + 33.094 + 2.769 + 16.608 + 0.471),
    ],
)
def test_the_layers_beside_vidurs_profile(tokens: int, layer_ms: float) -> None:
    time = roofline(LLAMA, "a100")
    head = TABLE / (TOTAL - TABLE) * time.weights  # reading it; it is not in the profile
    assert seconds(time, tokens, 0, 0) - head == pytest.approx(32 * layer_ms / 1e3, rel=0.15)


def test_a_tied_head_is_read_and_multiplied() -> None:
    tied = roofline(LLAMA | {"tie_word_embeddings": True}, ROUND)
    apart = roofline(LLAMA, ROUND)
    assert (tied.weights, tied.decode) == pytest.approx((apart.weights, apart.decode))


def test_a_mixture_of_experts_needs_its_active_parameters() -> None:
    mixtral = LLAMA | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
    with pytest.raises(InputError) as caught:
        roofline(mixtral, "h100")
    assert caught.value.field == "active_parameters"
    time = roofline(mixtral, ROUND, active_parameters=12.9e9, compute_efficiency=1.0)
    assert time.prefill == time.decode == pytest.approx(2 * 12.9e9 / 1e12)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"gpu": "h1000"}, "gpu"),
        ({"gpu": GPU(flops=0.0, bandwidth=1.0, link=1.0)}, "flops"),
        ({"compute_efficiency": 1.1}, "compute_efficiency"),
        ({"bandwidth_efficiency": 0}, "bandwidth_efficiency"),
        ({"overlap": -0.1}, "overlap"),
        ({"overhead": -1e-3}, "overhead"),
        ({"tensor_parallel": 0}, "tensor_parallel"),
    ],
)
def test_bad_input_is_named(change, field) -> None:
    with pytest.raises(InputError) as caught:
        roofline(LLAMA, **({"gpu": "h100"} | change))
    assert caught.value.field == field


def test_every_gpu_has_a_source_and_possible_figures() -> None:
    for name, gpu in GPUS.items():
        assert gpu.source != "as given", name
        assert 1e14 < gpu.flops < 1e16, name
        assert 1e11 < gpu.bandwidth < 1e13, name
        assert 1e10 < gpu.link < gpu.bandwidth, name
