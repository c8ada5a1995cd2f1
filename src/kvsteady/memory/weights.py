"""Bytes of a model's weights: from the checkpoint's index, or counted from config.json."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from kvsteady.errors import InputError, shown
from kvsteady.memory.fields import Fields, read_fields
from kvsteady.memory.model_config import DTYPE_BYTES, ModelConfig
from kvsteady.memory.units import MAX_BYTES, parse_bytes

INDEX_NAME = "model.safetensors.index.json"
_GIVE_WEIGHTS = "give their size (--weights-memory 16GiB)"
_COUNTED = frozenset(
    ["llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "deepseek_v2", "deepseek_v3"]
)


@dataclass(frozen=True)
class Weights:
    """Size of a model's weights, in bytes or parameters.

    Parameters
    ----------
    total
        Everything, each shared matrix once.
    embedding
        The input embedding, held by the first pipeline stage (0 if unknown).
    head
        The output projection, held by the last stage (0 if unknown or tied to the embedding).
    tied
        Whether the output projection is the embedding: the last stage then holds a copy.
    note
        Where the size comes from.
    """

    total: int
    embedding: int = 0
    head: int = 0
    tied: bool = False
    note: str = ""

    def stage(self, layers: int, of: int, *, first: bool, last: bool) -> int:
        """Size on a pipeline stage with ``layers`` of the model's layers (all layers alike)."""
        body = ceil(Fraction(self.total - self.embedding - self.head) * layers / of)
        copy = self.embedding if self.tied and not first else self.head
        return body + (self.embedding if first else 0) + (copy if last else 0)


def model_weights(model: ModelConfig, given: object = None) -> Weights:
    """Size of the weights in bytes: as given, else the checkpoint's index, else counted.

    Parameters
    ----------
    model
        The model; if it was read from a file, `INDEX_NAME` is sought beside it.
    given
        A size for `parse_bytes`, or ``None``.

    Raises
    ------
    InputError
        If the size is not usable, the index has none, or it can be derived from neither (quantised
        weights, multimodal models, other families, no dtype): the size must then be given.
    """
    if given is not None:
        return Weights(parse_bytes(given, field="weights"), note="weights: size as given")
    if model.fields.file is not None:
        index = Path(model.fields.file).with_name(INDEX_NAME)
        if index.is_file():
            return Weights(_index_size(index), note=f"weights: metadata.total_size of {INDEX_NAME}")
    if model.fields.values.get("quantization_config") is not None:
        raise model.fields.error(
            f"size of quantised weights is not derivable: {_GIVE_WEIGHTS}", "quantization_config"
        )
    if model.dtype is None:
        raise model.fields.error(
            f"is missing, so the weights cannot be sized: {_GIVE_WEIGHTS}", "torch_dtype"
        )
    count, size = parameter_count(model), DTYPE_BYTES[model.dtype]
    return Weights(
        count.total * size,
        count.embedding * size,
        count.head * size,
        count.tied,
        f"weights: {count.total:,} parameters counted from the config, in {model.dtype}",
    )


def _index_size(path: Path) -> int:
    metadata = read_fields(path).child("metadata")
    if metadata is None:
        raise InputError(f"is missing: {_GIVE_WEIGHTS}", file=path, field="metadata.total_size")
    value = metadata.values.get("total_size")
    # Some writers store the total as a float.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_BYTES:
        raise metadata.error(f"{shown(value)} is not usable", "total_size", "bytes, 1 B to 1 EiB")
    return value


def parameter_count(model: ModelConfig) -> Weights:
    """Count the parameters of a gated-MLP decoder, dense or mixture of experts.

    The tensors are those of transformers 5.23, `models/<family>/modeling_<family>.py`.

    Returns
    -------
    Weights
        In parameters. Layers that only predict further tokens (MTP) are not counted.

    Raises
    ------
    InputError
        If the family is not one that can be counted, or a field it needs is missing.
    """
    fields = model.fields
    if model.model_type not in _COUNTED or fields.child("text_config") is not None:
        raise fields.error(
            f"weights of {shown(model.model_type)} cannot be counted: {_GIVE_WEIGHTS}", "model_type"
        )
    hidden = fields.count("hidden_size")
    embedding = fields.count("vocab_size", high=2**28) * hidden
    tied = fields.flag("tie_word_embeddings", False)
    attention = _latent_attention(fields, model) if model.mla else _attention(fields, model)
    norms = 2 * hidden
    mlps = sum(_mlp(fields, model.model_type, i) for i in range(len(model.layers)))
    body = len(model.layers) * (attention + norms) + mlps + hidden
    head = 0 if tied else embedding
    return Weights(body + embedding + head, embedding, head, tied)


def _attention(fields: Fields, model: ModelConfig) -> int:
    hidden, family = fields.count("hidden_size"), model.model_type
    query, kv = model.attention_heads * model.head_dim, model.kv_heads * model.head_dim
    size = 2 * hidden * (query + kv)
    if family == "qwen2":
        size += query + 2 * kv
    elif family in ("llama", "qwen3", "qwen3_moe") and fields.flag("attention_bias", False):
        size += query + 2 * kv + hidden
    if family.startswith("qwen3"):
        size += 2 * model.head_dim  # norms of queries and keys
    return size


def _latent_attention(fields: Fields, model: ModelConfig) -> int:
    hidden, heads = fields.count("hidden_size"), model.attention_heads
    rank, rope = fields.count("kv_lora_rank"), fields.count("qk_rope_head_dim")
    nope, value = fields.count("qk_nope_head_dim"), fields.count("v_head_dim")
    query_rank = fields.optional_count("q_lora_rank")
    if fields.flag("attention_bias", False):
        raise fields.error(
            f"weights with biases cannot be counted: {_GIVE_WEIGHTS}", "attention_bias"
        )
    query = heads * (nope + rope)
    down_up = hidden * query if query_rank is None else query_rank * (hidden + 1 + query)
    compressed = hidden * (rank + rope) + rank + rank * heads * (nope + value)
    return down_up + compressed + heads * value * hidden


def _mlp(fields: Fields, family: str, layer: int) -> int:
    hidden = fields.count("hidden_size")
    if family == "mixtral":
        experts = fields.count("num_local_experts")
        return experts * (3 * hidden * fields.count("intermediate_size") + hidden)
    if family == "qwen3_moe" and _qwen3_sparse(fields, layer):
        experts = fields.count("num_experts")
        return experts * (3 * hidden * fields.count("moe_intermediate_size") + hidden)
    if family in ("deepseek_v2", "deepseek_v3") and _deepseek_sparse(fields, layer):
        routed, shared = fields.count("n_routed_experts"), fields.optional_count("n_shared_experts")
        expert = 3 * hidden * fields.count("moe_intermediate_size")
        # deepseek_v3 balances its experts by a stored bias each.
        bias = routed if family == "deepseek_v3" else 0
        return (routed + (shared or 0)) * expert + routed * hidden + bias
    inner = fields.count("intermediate_size")
    bias = 2 * inner + hidden if family == "llama" and fields.flag("mlp_bias", False) else 0
    return 3 * hidden * inner + bias


def _qwen3_sparse(fields: Fields, layer: int) -> bool:
    step = fields.count("decoder_sparse_step", default=1)
    return (layer + 1) % step == 0 and layer not in (fields.counts("mlp_only_layers") or ())


def _deepseek_sparse(fields: Fields, layer: int) -> bool:
    first = fields.count("first_k_dense_replace", low=0)
    return layer >= first and layer % fields.count("moe_layer_freq", default=1) == 0
