"""From a model's config.json and a GPU to KV tokens.

`read_model_config` reads what one token costs (`ModelConfig`), `model_weights` what the weights
take, and `kv_capacity` how many KV tokens fit beside them (`KVMemory`, with its assumptions in
``notes``). What cannot be established is an `InputError` that names it, never a guess.
"""

from __future__ import annotations

from kvsteady.memory.capacity import (
    DEFAULT_OVERHEAD,
    DEFAULT_UTILISATION,
    KVMemory,
    kv_capacity,
)
from kvsteady.memory.families import FAMILIES
from kvsteady.memory.layers import LayerKind
from kvsteady.memory.model_config import DTYPE_BYTES, ModelConfig, read_model_config
from kvsteady.memory.units import format_bytes, parse_bytes
from kvsteady.memory.weights import Weights, model_weights, parameter_count

#: Values of ``model_type`` (of ``text_config`` where there is one) whose KV layout is established.
KNOWN_MODEL_TYPES: tuple[str, ...] = tuple(sorted(FAMILIES))

__all__ = [
    "DEFAULT_OVERHEAD",
    "DEFAULT_UTILISATION",
    "DTYPE_BYTES",
    "KNOWN_MODEL_TYPES",
    "KVMemory",
    "LayerKind",
    "ModelConfig",
    "Weights",
    "format_bytes",
    "kv_capacity",
    "model_weights",
    "parameter_count",
    "parse_bytes",
    "read_model_config",
]
