"""What each layer keeps per token, by the conventions of the model families.

Every rule names the file of transformers 5.23 (`models/<family>/configuration_<family>.py`) or
vLLM 0.32 whose convention it states. Where a config.json lists its layers itself, the list wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from kvsteady.errors import shown
from kvsteady.memory.fields import Fields

MAX_LAYERS = 10_000


class LayerKind(StrEnum):
    """What one layer holds for a sequence; values are transformers' names of layer types."""

    FULL = "full_attention"
    SLIDING = "sliding_attention"
    CHUNKED = "chunked_attention"
    HYBRID = "hybrid"
    LINEAR = "linear_attention"
    CONV = "conv"
    MLP = "mlp"

    @property
    def holds_kv(self) -> bool:
        """Whether the layer keeps keys and values per token."""
        return self in (self.FULL, self.SLIDING, self.CHUNKED, self.HYBRID)

    @property
    def holds_all_tokens(self) -> bool:
        """Whether it keeps them for the whole context, not only a window."""
        return self in (self.FULL, self.HYBRID)

    @property
    def holds_state(self) -> bool:
        """Whether the layer keeps a state of fixed size per sequence."""
        return self in (self.HYBRID, self.LINEAR, self.CONV)


LayerRule = Callable[[Fields, int], tuple[LayerKind, ...]]

#: Names in ``layer_types``: transformers `configuration_utils.py`, ALLOWED_ATTN_LAYER_TYPES and
#: _LEGACY_LAYER_TYPE_REMAP ("attention", "mamba").
ATTENTION_NAMES: Mapping[str, LayerKind] = MappingProxyType(
    {
        "full_attention": LayerKind.FULL,
        "attention": LayerKind.FULL,
        "sliding_attention": LayerKind.SLIDING,
        "chunked_attention": LayerKind.CHUNKED,
    }
)
HYBRID_NAMES: Mapping[str, LayerKind] = MappingProxyType(
    {
        "full_attention": LayerKind.FULL,
        "attention": LayerKind.FULL,
        "linear_attention": LayerKind.LINEAR,
        "mamba": LayerKind.LINEAR,
    }
)
CONV_NAMES: Mapping[str, LayerKind] = MappingProxyType(
    {"full_attention": LayerKind.FULL, "conv": LayerKind.CONV}
)
NEMOTRON_NAMES: Mapping[str, LayerKind] = MappingProxyType(
    {**HYBRID_NAMES, "moe": LayerKind.MLP, "mlp": LayerKind.MLP}
)
FALCON_H1_NAMES: Mapping[str, LayerKind] = MappingProxyType({"hybrid": LayerKind.HYBRID})

_PATTERN = MappingProxyType(
    {"M": LayerKind.LINEAR, "*": LayerKind.FULL, "-": LayerKind.MLP, "E": LayerKind.MLP}
)


def read_layers(
    fields: Fields, rule: LayerRule, names: Mapping[str, LayerKind]
) -> tuple[LayerKind, ...]:
    """Kind of every layer: the config's own list where it has one, else the family's rule.

    Raises
    ------
    InputError
        If a layer type is unknown (it is named), or the list and ``num_hidden_layers`` disagree.
    """
    total = fields.optional_count("num_hidden_layers", "n_layer", "num_layers", high=MAX_LAYERS)
    for field in ("layer_types", "layers_block_type"):
        listed = fields.names(field)
        if listed is None:
            continue
        for index, name in enumerate(listed):
            if name not in names:
                raise fields.error(
                    f"layer type {shown(name)} of layer {index} is not known",
                    field,
                    ", ".join(names),
                )
        _check_length(fields, field, len(listed), total)
        return tuple(names[name] for name in listed)
    if total is None:
        total = fields.count("num_hidden_layers", high=MAX_LAYERS)
    return rule(fields, total)


def _check_length(fields: Fields, field: str, length: int, total: int | None) -> None:
    if not 1 <= length <= MAX_LAYERS:
        raise fields.error(f"lists {length} layers", field, f"1 to {MAX_LAYERS} layers")
    if total is not None and length != total:
        raise fields.error(f"lists {length} layers where num_hidden_layers is {total}", field)


def all_full(_fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Full attention everywhere (llama and most others)."""
    return (LayerKind.FULL,) * total


def all_hybrid(_fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Attention and Mamba side by side in every layer (falcon_h1)."""
    return (LayerKind.HYBRID,) * total


def listed_only(fields: Fields, _total: int) -> tuple[LayerKind, ...]:
    """Layers that only a list can tell apart (granitemoehybrid)."""
    raise fields.error("is missing, and this model's layers differ", "layer_types")


def windowed(default: int | None) -> LayerRule:
    """All layers slide if ``sliding_window`` is set (mistral, mixtral, phi3, starcoder2)."""

    def rule(fields: Fields, total: int) -> tuple[LayerKind, ...]:
        set_ = sliding_window(fields, default) is not None
        return (LayerKind.SLIDING if set_ else LayerKind.FULL,) * total

    return rule


def windowed_if_used(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """All layers slide if ``use_sliding_window`` (qwen3_moe)."""
    used = fields.flag("use_sliding_window", False) and sliding_window(fields, 4096) is not None
    return (LayerKind.SLIDING if used else LayerKind.FULL,) * total


def above_max_window_layers(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Layers from ``max_window_layers`` on slide, if ``use_sliding_window`` (qwen2, qwen3)."""
    used = fields.flag("use_sliding_window", False) and sliding_window(fields, 4096) is not None
    first = fields.count("max_window_layers", low=0, default=total) if used else total
    return tuple(LayerKind.FULL if i < first else LayerKind.SLIDING for i in range(total))


def full_unless_used(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Full attention; which layers would slide differs between releases (qwen2_moe, smollm3)."""
    if fields.flag("use_sliding_window", False):
        raise fields.error("needs layer_types to say which layers slide", "use_sliding_window")
    return (LayerKind.FULL,) * total


def every_nth_full(period: int, other: LayerKind, field: str | None = None) -> LayerRule:
    """Layers n, 2n, … attend fully, the rest are ``other``; ``field`` may state another n.

    gemma2 and gpt_oss 2, gemma3 6 (``sliding_window_pattern``), cohere2 4 (same), olmo3 4,
    qwen3_next and qwen3_5 4 (``full_attention_interval``).
    """

    def rule(fields: Fields, total: int) -> tuple[LayerKind, ...]:
        n = period if field is None else fields.count(field, default=period)
        return tuple(other if (i + 1) % n else LayerKind.FULL for i in range(total))

    return rule


def exaone4(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Full attention without a window, else every fourth layer full (exaone4)."""
    if sliding_window(fields, 4096) is None:
        return (LayerKind.FULL,) * total
    return every_nth_full(4, LayerKind.SLIDING, "sliding_window_pattern")(fields, total)


def llama4(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Layers with rotary positions attend in chunks (llama4, ``no_rope_layers``: 1 = rotary)."""
    rotary = fields.counts("no_rope_layers", high=1)
    if not rotary:
        return every_nth_full(4, LayerKind.CHUNKED, "no_rope_layer_interval")(fields, total)
    _check_length(fields, "no_rope_layers", len(rotary), total)
    return tuple(LayerKind.CHUNKED if flag else LayerKind.FULL for flag in rotary)


def nemotron_h(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """One letter a layer: M Mamba, * attention, - MLP, E experts (nemotron_h)."""
    pattern = fields.name("hybrid_override_pattern")
    if pattern is None:
        raise fields.error("is missing, and this model's layers differ", "hybrid_override_pattern")
    for letter in pattern:
        if letter not in _PATTERN:
            raise fields.error(
                f"layer type {shown(letter)} is not known", "hybrid_override_pattern", "M, *, -, E"
            )
    _check_length(fields, "hybrid_override_pattern", len(pattern), total)
    return tuple(_PATTERN[letter] for letter in pattern)


def jamba(fields: Fields, total: int) -> tuple[LayerKind, ...]:
    """Layer i attends where i mod ``attn_layer_period`` = ``attn_layer_offset`` (jamba)."""
    period = fields.count("attn_layer_period", default=8)
    offset = fields.count("attn_layer_offset", low=0, high=period - 1, default=4)
    return tuple(LayerKind.FULL if i % period == offset else LayerKind.LINEAR for i in range(total))


def at_indices(field: str, other: LayerKind) -> LayerRule:
    """Attention at the listed layers (bamba ``attn_layer_indices``, lfm2 ``full_attn_idxs``)."""

    def rule(fields: Fields, total: int) -> tuple[LayerKind, ...]:
        indices = fields.counts(field, high=total - 1)
        if indices is None:
            raise fields.error("is missing, and so is layer_types", field)
        attending = frozenset(indices)
        return tuple(LayerKind.FULL if i in attending else other for i in range(total))

    return rule


def sliding_window(fields: Fields, default: int | None) -> int | None:
    """Tokens a sliding layer keeps; the family's default where the config leaves the field out."""
    if fields.absent("sliding_window"):
        return default
    return fields.optional_count("sliding_window", high=2**40)
