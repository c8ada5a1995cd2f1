"""Model families whose KV layout is established, by ``model_type``.

A family missing here is an error, never a guess. Defaults are those of transformers 5.23
(`models/<family>/configuration_<family>.py`) for fields a config.json may leave out; layouts are
as vLLM 0.32 stores them (`config/model.py`, `get_num_kv_heads`;
`transformers_utils/model_arch_config_convertor.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kvsteady.memory import layers, states
from kvsteady.memory.fields import Fields
from kvsteady.memory.layers import LayerKind, LayerRule


@dataclass(frozen=True)
class Family:
    """How one family states its KV layout.

    Parameters
    ----------
    layer_rule
        The kind of each layer, where the config does not list them.
    layer_names
        What the config's own list of layers may hold.
    kv_heads
        KV heads when ``num_key_value_heads`` is left out (``None``: as many as attention heads),
        or a rule of the family's own.
    attention_heads
        ``num_attention_heads`` when left out (``None``: it must be there).
    head_dim
        Head dimension when left out (``None``: hidden_size / attention heads).
    window
        ``sliding_window`` when left out.
    mla
        One compressed vector per token and layer instead of keys and values per head.
    state
        Size of the state that linear-attention, Mamba and convolution layers keep.
    """

    layer_rule: LayerRule = layers.all_full
    # A factory, because Python 3.11 takes any unhashable default for a mutable one.
    layer_names: Mapping[str, LayerKind] = field(default_factory=lambda: layers.ATTENTION_NAMES)
    kv_heads: int | Callable[[Fields, int], int] | None = None
    attention_heads: int | None = None
    head_dim: int | None = None
    window: int | None = None
    mla: bool = False
    state: states.StateRule | None = None


def _falcon_kv_heads(fields: Fields, heads: int) -> int:
    # vLLM FalconModelArchConfigConvertor: the new decoder ignores multi_query.
    if not fields.flag("new_decoder_architecture", False) and fields.flag("multi_query", True):
        return 1
    return fields.count("n_head_kv", "num_kv_heads", default=heads)


def _bigcode_kv_heads(fields: Fields, heads: int) -> int:
    # transformers gpt_bigcode: multi_query defaults to true.
    return 1 if fields.flag("multi_query", True) else heads


_LINEAR, _SLIDING = LayerKind.LINEAR, LayerKind.SLIDING
_QWEN2 = Family(layers.above_max_window_layers, kv_heads=32, window=4096)
_QWEN2_VL = Family(layers.above_max_window_layers, kv_heads=8, window=4096)
_MLA = Family(mla=True)


def _qwen3_next(kv_heads: int) -> Family:
    return Family(
        layers.every_nth_full(4, _LINEAR, "full_attention_interval"),
        layers.HYBRID_NAMES,
        kv_heads=kv_heads,
        head_dim=256,
        state=states.gated_delta_net,
    )


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        # Full attention in every layer.
        **dict.fromkeys(
            [
                "llama",
                "arcee",
                "apertus",
                "cohere",
                "granite",
                "granitemoe",
                "nemotron",
                "olmo",
                "olmo2",
                "olmoe",
                "phi",
                "persimmon",
                "gpt2",
                "gptj",
                "gpt_neox",
                "codegen",
                "opt",
                "bloom",
            ],
            Family(),
        ),
        "falcon": Family(kv_heads=_falcon_kv_heads),
        "gpt_bigcode": Family(kv_heads=_bigcode_kv_heads),
        "gemma": Family(kv_heads=16, head_dim=256),
        "helium": Family(kv_heads=20, head_dim=128),
        "stablelm": Family(kv_heads=32),
        "glm": Family(kv_heads=2, head_dim=128),
        "glm4": Family(kv_heads=2, head_dim=128),
        "glm4_moe": Family(kv_heads=8),
        "seed_oss": Family(kv_heads=8, head_dim=128),
        "ernie4_5": Family(kv_heads=2, head_dim=128),
        "ernie4_5_moe": Family(kv_heads=4),
        "internlm3": Family(kv_heads=2, head_dim=128),
        "qwen3_vl_text": Family(kv_heads=32, head_dim=128),
        "qwen3_vl_moe_text": Family(kv_heads=16),
        # Sliding windows.
        "mistral": Family(layers.windowed(4096), kv_heads=8, window=4096),
        "ministral": Family(layers.windowed(4096), kv_heads=8, window=4096),
        "ministral3": Family(layers.windowed(None), kv_heads=8, head_dim=128),
        "mixtral": Family(layers.windowed(None), kv_heads=8),
        "phi3": Family(layers.windowed(None)),
        "phimoe": Family(layers.windowed(None), kv_heads=8),
        "starcoder2": Family(layers.windowed(None), kv_heads=2),
        "qwen2": _QWEN2,
        "qwen3": Family(layers.above_max_window_layers, kv_heads=32, head_dim=128, window=4096),
        "qwen2_vl": _QWEN2_VL,
        "qwen2_vl_text": _QWEN2_VL,
        "qwen2_5_vl": _QWEN2_VL,
        "qwen2_5_vl_text": _QWEN2_VL,
        "qwen2_moe": Family(layers.full_unless_used, kv_heads=16, window=4096),
        "qwen3_moe": Family(layers.windowed_if_used, kv_heads=4, window=4096),
        "smollm3": Family(layers.full_unless_used, kv_heads=4),
        "gemma2": Family(layers.every_nth_full(2, _SLIDING), kv_heads=4, head_dim=256, window=4096),
        "gemma3_text": Family(
            layers.every_nth_full(6, _SLIDING, "sliding_window_pattern"),
            kv_heads=4,
            attention_heads=8,
            head_dim=256,
            window=4096,
        ),
        "cohere2": Family(
            layers.every_nth_full(4, _SLIDING, "sliding_window_pattern"), window=4096
        ),
        "olmo3": Family(layers.every_nth_full(4, _SLIDING), window=4096),
        "exaone4": Family(layers.exaone4, kv_heads=32, window=4096),
        "gpt_oss": Family(layers.every_nth_full(2, _SLIDING), kv_heads=8, head_dim=64, window=128),
        "llama4_text": Family(layers.llama4, kv_heads=8, head_dim=128),
        # Multi-head latent attention, as vLLM's is_deepseek_mla lists it.
        "deepseek_v2": _MLA,
        "deepseek_v3": _MLA,
        "kimi_k2": _MLA,
        "glm4_moe_lite": _MLA,
        # Attention mixed with Mamba, linear attention or short convolutions.
        "jamba": Family(layers.jamba, layers.HYBRID_NAMES, kv_heads=8, state=states.mamba1),
        "bamba": Family(
            layers.at_indices("attn_layer_indices", _LINEAR),
            layers.HYBRID_NAMES,
            kv_heads=8,
            state=states.mamba2,
        ),
        "granitemoehybrid": Family(layers.listed_only, layers.HYBRID_NAMES, state=states.mamba2),
        "nemotron_h": Family(
            layers.nemotron_h,
            layers.NEMOTRON_NAMES,
            kv_heads=8,
            head_dim=128,
            state=states.nemotron_h,
        ),
        "falcon_h1": Family(
            layers.all_hybrid,
            layers.FALCON_H1_NAMES,
            kv_heads=8,
            state=states.falcon_h1,
        ),
        "qwen3_next": _qwen3_next(kv_heads=2),
        "qwen3_5_text": _qwen3_next(kv_heads=4),
        "qwen3_5_moe_text": _qwen3_next(kv_heads=2),
        "lfm2": Family(
            layers.at_indices("full_attn_idxs", LayerKind.CONV),
            layers.CONV_NAMES,
            kv_heads=8,
            state=states.short_convolution,
        ),
        "lfm2_moe": Family(
            layers.at_indices("full_attn_idxs", LayerKind.CONV),
            layers.CONV_NAMES,
            kv_heads=8,
            state=states.short_convolution,
        ),
    }
)

#: Fields that share KV between layers, select it by an index with a cache of its own, or make the
#: layers differ: with one of them set, the family's layout no longer says what a token costs.
LAYOUT_CHANGING = (
    "num_kv_shared_layers",
    "use_cla",
    "add_cross_attention",
    "per_layer_config",
    "block_configs",
    "index_topk",
    "compress_ratios",
)

#: Multimodal wrappers that hold a language model under ``text_config`` and add no KV of their own.
WRAPPERS = frozenset(
    [
        "aya_vision",
        "gemma3",
        "idefics3",
        "internvl",
        "kimi_k25",
        "llama4",
        "llava",
        "llava_next",
        "llava_onevision",
        "mistral3",
        "paligemma",
        "qwen2_vl",
        "qwen2_5_vl",
        "qwen3_vl",
        "qwen3_vl_moe",
        "qwen3_5",
        "qwen3_5_moe",
        "smolvlm",
    ]
)
