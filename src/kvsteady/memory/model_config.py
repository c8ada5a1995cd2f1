"""A model's KV layout, read from its config.json: what one token and one sequence cost in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from types import MappingProxyType

from kvsteady.errors import InputError, shown
from kvsteady.memory import layers
from kvsteady.memory.families import FAMILIES, LAYOUT_CHANGING, WRAPPERS, Family
from kvsteady.memory.fields import Fields, read_fields
from kvsteady.memory.layers import LayerKind

#: Bytes per number. The fp8 names are those of vLLM's and SGLang's --kv-cache-dtype.
DTYPE_BYTES: Mapping[str, int] = MappingProxyType(
    {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
)
MODEL_DTYPES = ("float32", "bfloat16", "float16")
_GIVE_TOKENS = "give the KV tokens themselves, as the engine logs them at start-up"


@dataclass(frozen=True)
class ModelConfig:
    """KV layout of a decoder, and the fields it was read from.

    Parameters
    ----------
    model_type
        Of the language model (of ``text_config`` where there is one).
    layers
        Kind of each layer, in order.
    attention_heads, kv_heads, head_dim
        Per layer, before tensor parallelism. Under MLA there is one KV head of
        ``kv_lora_rank + qk_rope_head_dim`` numbers.
    mla
        One compressed vector per token and layer, not keys and values.
    dtype
        What the model computes in; ``None`` if the config does not say.
    kv_dtype
        What the cache stores; a key of `DTYPE_BYTES`.
    sliding_window
        Tokens that sliding or chunked layers keep; ``None`` without such layers.
    bytes_per_sequence
        State of all layers for one sequence, whatever its length; ``None`` if not derivable.
    notes
        Assumptions, one line each.
    fields
        The config's own fields.
    """

    model_type: str
    layers: tuple[LayerKind, ...]
    attention_heads: int
    kv_heads: int
    head_dim: int
    mla: bool
    dtype: str | None
    kv_dtype: str
    sliding_window: int | None
    bytes_per_sequence: int | None
    notes: tuple[str, ...]
    fields: Fields = field(repr=False, compare=False)

    @property
    def bytes_per_token_per_layer(self) -> int:
        """Bytes of one token in one attention layer: 2 × KV heads × head dim × bytes (MLA: 1 ×)."""
        return self.layer_bytes(tensor_parallel=1)

    @property
    def bytes_per_token(self) -> int:
        """Bytes one token takes in the whole model while every attention layer holds it."""
        return sum(kind.holds_kv for kind in self.layers) * self.bytes_per_token_per_layer

    @property
    def bytes_per_token_full_attention(self) -> int:
        """Bytes one token still takes once it has left every sliding window."""
        return sum(kind.holds_all_tokens for kind in self.layers) * self.bytes_per_token_per_layer

    def layer_bytes(self, tensor_parallel: int) -> int:
        """Bytes one token takes in one attention layer on one of ``tensor_parallel`` GPUs.

        KV heads are divided, at least one per GPU; an MLA vector is on every GPU whole
        (vLLM `config/model.py`, get_num_kv_heads).
        """
        if self.mla:
            return self.head_dim * DTYPE_BYTES[self.kv_dtype]
        heads = max(1, self.kv_heads // tensor_parallel)
        return 2 * heads * self.head_dim * DTYPE_BYTES[self.kv_dtype]

    def with_kv_dtype(self, kv_dtype: str) -> ModelConfig:
        """Return the same model with another cache dtype (``"auto"``: the model's own).

        Raises
        ------
        InputError
            If it is not a key of `DTYPE_BYTES`, or ``"auto"`` and the config has no dtype.
        """
        return replace(self, kv_dtype=_kv_dtype(self.fields, self.dtype, kv_dtype))


def read_model_config(
    source: str | PathLike[str] | Mapping[str, object], *, kv_dtype: str = "auto"
) -> ModelConfig:
    """Read the KV layout from a config.json, its directory, or its decoded object.

    Parameters
    ----------
    source
        Path of config.json or of the directory that holds it, or the decoded object.
    kv_dtype
        What the cache stores: ``"auto"`` (the model's dtype) or a key of `DTYPE_BYTES`.

    Raises
    ------
    InputError
        If the file is not JSON (with its line), a field is missing or out of range (with its
        name), or the model type, a layer type or a dtype is not known (it is named).
    """
    root = read_fields(source)
    fields, model_type, family = _language_model(root)
    dtype = _dtype(root, fields)
    cache_dtype = _kv_dtype(root, dtype, kv_dtype)
    heads = fields.count(
        "num_attention_heads", "n_head", default=family.attention_heads, high=2**16
    )
    kv_heads, head_dim = _heads(fields, family, heads)
    kinds = layers.read_layers(fields, family.layer_rule, family.layer_names)
    state, state_note = _state(fields, family, kinds, dtype)
    notes = [*_notes(root, fields, family, dtype, cache_dtype), *state_note]
    return ModelConfig(
        model_type=model_type,
        layers=kinds,
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        mla=family.mla,
        dtype=dtype,
        kv_dtype=cache_dtype,
        sliding_window=_window(fields, family, kinds),
        bytes_per_sequence=state,
        notes=tuple(notes),
        fields=root,
    )


def _language_model(root: Fields) -> tuple[Fields, str, Family]:
    fields, nested = root, root.child("text_config")
    model_type = _model_type(root)
    for each in (root, nested):
        if each is not None and each.flag("is_encoder_decoder", False):
            raise root.error(
                f"{shown(model_type)} is an encoder-decoder model, which keeps KV of two kinds: "
                + _GIVE_TOKENS,
                "is_encoder_decoder",
            )
    if nested is not None:
        if model_type not in WRAPPERS:
            raise root.error(
                f"KV layout of {shown(model_type)} is not known: {_GIVE_TOKENS}", "model_type"
            )
        fields, model_type = nested, _model_type(nested)
    if model_type not in FAMILIES:
        raise fields.error(
            f"KV layout of {shown(model_type)} is not known: {_GIVE_TOKENS}", "model_type"
        )
    for name in LAYOUT_CHANGING:
        if fields.values.get(name):
            raise fields.error(
                f"KV layout of {shown(model_type)} with this set is not known: {_GIVE_TOKENS}", name
            )
    return fields, model_type, FAMILIES[model_type]


def _model_type(fields: Fields) -> str:
    model_type = fields.name("model_type")
    if model_type is None:
        raise fields.error("is missing", "model_type")
    return model_type


def _dtype(root: Fields, fields: Fields) -> str | None:
    for each in (root, fields):
        for name in ("dtype", "torch_dtype"):
            value = each.name(name)
            if value is None:
                continue
            value = value.removeprefix("torch.")
            if value not in MODEL_DTYPES:
                raise each.error(f"{shown(value)} is not known", name, ", ".join(MODEL_DTYPES))
            return value
    return None


def _kv_dtype(root: Fields, dtype: str | None, kv_dtype: object) -> str:
    if kv_dtype == "auto":
        if dtype is None:
            raise root.error(
                "is missing, so the cache's dtype must be given (kv_dtype)",
                "torch_dtype",
                ", ".join(DTYPE_BYTES),
            )
        return dtype
    if not isinstance(kv_dtype, str) or kv_dtype not in DTYPE_BYTES:
        raise InputError(
            f"{shown(kv_dtype)} is not known",
            field="kv_dtype",
            allowed=", ".join(["auto", *DTYPE_BYTES]),
        )
    return kv_dtype


def _heads(fields: Fields, family: Family, heads: int) -> tuple[int, int]:
    if family.mla:
        rank = fields.count("kv_lora_rank")
        return 1, rank + fields.count("qk_rope_head_dim")
    if callable(family.kv_heads):
        kv_heads = family.kv_heads(fields, heads)
    else:
        # null means "as many as attention heads" in every family; left out, the family's default.
        left_out = fields.absent("num_key_value_heads") and family.kv_heads is not None
        kv_heads = fields.count(
            "num_key_value_heads", default=family.kv_heads if left_out else heads
        )
    if heads % kv_heads:
        raise fields.error(
            f"{kv_heads} KV heads do not divide {heads} attention heads", "num_key_value_heads"
        )
    head_dim = fields.optional_count("head_dim", default=family.head_dim)
    if head_dim is None:
        hidden = _hidden_size(fields)
        if hidden % heads:
            raise fields.error(
                f"{heads} does not divide hidden_size {hidden}, and head_dim is missing",
                "num_attention_heads",
            )
        head_dim = hidden // heads
    return kv_heads, head_dim


def _hidden_size(fields: Fields) -> int:
    return fields.count("hidden_size", "n_embd", "n_embed")


def _window(fields: Fields, family: Family, kinds: tuple[LayerKind, ...]) -> int | None:
    if LayerKind.SLIDING in kinds:
        window = layers.sliding_window(fields, family.window)
        if window is None:
            raise fields.error("is missing, and some layers slide", "sliding_window")
        return window
    if LayerKind.CHUNKED in kinds:
        return fields.count("attention_chunk_size", default=8192, high=2**40)
    return None


def _state(
    fields: Fields, family: Family, kinds: tuple[LayerKind, ...], dtype: str | None
) -> tuple[int | None, list[str]]:
    stateful = sum(kind.holds_state for kind in kinds)
    if not stateful or family.state is None:
        return 0, []
    if dtype is None:
        return None, ["state per sequence unknown: the config states no dtype"]
    state = family.state(fields, _hidden_size(fields))
    recurrent_dtype = state.recurrent_dtype or dtype
    if recurrent_dtype not in MODEL_DTYPES:
        return None, [f"state per sequence unknown: its dtype is {shown(recurrent_dtype)}"]
    size = stateful * (
        state.convolution * DTYPE_BYTES[dtype] + state.recurrent * DTYPE_BYTES[recurrent_dtype]
    )
    note = f"{stateful} layers keep a state of fixed size per sequence instead of KV per token"
    return size, [note + ", in the dtypes vLLM takes by default"]


def _notes(
    root: Fields, fields: Fields, family: Family, dtype: str | None, kv_dtype: str
) -> list[str]:
    notes = []
    if family.mla:
        notes.append("MLA: counted as the compressed vector that vLLM and SGLang keep")
    if fields.optional_count("num_nextn_predict_layers", low=0):
        notes.append("layers that only predict further tokens (MTP) are not counted")
    if root.values.get("quantization_config") is not None and kv_dtype == dtype:
        notes.append(f"quantised weights: KV counted in {kv_dtype}, unless kv_dtype says otherwise")
    if dtype == "float32" and kv_dtype == dtype:
        notes.append("float32 as the config says; vLLM serves such models in 16 bits by default")
    return notes
