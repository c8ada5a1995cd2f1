"""State of linear-attention, Mamba and convolution layers: fixed per sequence, not per token.

Shapes as vLLM 0.32 allocates them without tensor parallelism or speculative decoding:
`model_executor/layers/mamba/mamba_utils.py`, MambaStateShapeCalculator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvsteady.memory.fields import Fields


@dataclass(frozen=True)
class LayerState:
    """State of one layer for one sequence.

    Parameters
    ----------
    convolution, recurrent
        Numbers kept (elements, not bytes).
    recurrent_dtype
        What the recurrent ones are stored as; ``None``: as the model computes.
    """

    convolution: int
    recurrent: int
    recurrent_dtype: str | None = None


StateRule = Callable[[Fields, int], LayerState]


def mamba1(fields: Fields, hidden_size: int) -> LayerState:
    """Mamba-1: intermediate × (kernel − 1), and intermediate × state size (jamba)."""
    width = fields.count("mamba_expand", default=2) * hidden_size
    kernel = fields.count("mamba_d_conv", default=4)
    return LayerState((kernel - 1) * width, width * fields.count("mamba_d_state", default=16))


def mamba2(fields: Fields, hidden_size: int) -> LayerState:
    """Mamba-2 with ``mamba_*`` fields (bamba, granitemoehybrid)."""
    return _mamba2(fields, fields.count("mamba_expand", default=2) * hidden_size)


def falcon_h1(fields: Fields, hidden_size: int) -> LayerState:
    """Mamba-2 whose width ``mamba_d_ssm`` may state (falcon_h1)."""
    default = 1024 if fields.absent("mamba_d_ssm") else None
    width = fields.optional_count("mamba_d_ssm", default=default)
    return mamba2(fields, hidden_size) if width is None else _mamba2(fields, width)


def _mamba2(fields: Fields, width: int) -> LayerState:
    heads = fields.count("mamba_n_heads", default=128)
    groups = fields.count("mamba_n_groups", default=1)
    size = fields.count("mamba_d_state", default=256)
    kernel = fields.count("mamba_d_conv", default=4)
    if width % heads:
        raise fields.error(f"{heads} does not divide the Mamba width {width}", "mamba_n_heads")
    return LayerState((kernel - 1) * (width + 2 * groups * size), width * size)


def nemotron_h(fields: Fields, _hidden_size: int) -> LayerState:
    """Mamba-2 with the fields of nemotron_h; its recurrent state is float32 unless stated."""
    width = fields.count("mamba_num_heads", default=128) * fields.count(
        "mamba_head_dim", default=64
    )
    groups = fields.count("n_groups", "mamba_n_groups", default=8)
    size = fields.count("ssm_state_size", default=128)
    kernel = fields.count("conv_kernel", "mamba_d_conv", default=4)
    return LayerState(
        (kernel - 1) * (width + 2 * groups * size),
        width * size,
        fields.name("mamba_ssm_cache_dtype") or "float32",
    )


def gated_delta_net(fields: Fields, _hidden_size: int) -> LayerState:
    """Gated delta net of qwen3_next and qwen3_5 (the latter may state ``mamba_ssm_dtype``)."""
    key_heads = fields.count("linear_num_key_heads", default=16)
    value_heads = fields.count("linear_num_value_heads", default=32)
    key_dim = fields.count("linear_key_head_dim", default=128)
    value_dim = fields.count("linear_value_head_dim", default=128)
    kernel = fields.count("linear_conv_kernel_dim", default=4)
    return LayerState(
        (kernel - 1) * (2 * key_heads * key_dim + value_heads * value_dim),
        value_heads * value_dim * key_dim,
        fields.name("mamba_ssm_dtype"),
    )


def short_convolution(fields: Fields, hidden_size: int) -> LayerState:
    """Short convolution: width × (kernel − 1) (lfm2)."""
    kernel = fields.count("conv_L_cache", default=3)
    return LayerState((kernel - 1) * fields.count("conv_dim", default=hidden_size), 0)
