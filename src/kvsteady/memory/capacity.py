"""How many KV tokens a GPU holds beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike

from kvsteady.errors import InputError, shown
from kvsteady.memory.layers import LayerKind
from kvsteady.memory.model_config import ModelConfig, read_model_config
from kvsteady.memory.units import format_bytes, parse_bytes
from kvsteady.memory.weights import Weights, model_weights

#: Activations, CUDA graphs, CUDA context and communication buffers, per GPU. vLLM measured 1.79 +
#: 1.26 GiB for Llama-3-8B on an 80 GB H100 (vllm pull request 10511); it varies with the engine.
DEFAULT_OVERHEAD = 3 * 1024**3

#: What ``vllm serve`` takes (vllm 0.33.0, vllm/config/cache.py, gpu_memory_utilization).
DEFAULT_UTILISATION = 0.92


@dataclass(frozen=True)
class KVMemory:
    """KV tokens of one model replica, and how they were counted. Sizes are in bytes.

    Parameters
    ----------
    kv_tokens
        ``blocks × block_size``: tokens the replica can hold, the smallest stage deciding.
    blocks, block_size
        Whole KV blocks, and tokens in each.
    bytes_per_token
        In the whole model, each KV head counted once.
    bytes_per_token_per_gpu
        On one GPU of the stage that decides.
    bytes_per_sequence
        State of fixed size that every sequence adds (whole model); ``None`` if not derivable.
    gpu_memory, weights_bytes_per_gpu, overhead_bytes_per_gpu, available_bytes
        On one GPU of the stage that decides: all of it, weights, overhead, left for KV.
    notes
        Every assumption, one line each.
    """

    kv_tokens: int
    blocks: int
    block_size: int
    bytes_per_token: int
    bytes_per_token_per_gpu: int
    bytes_per_sequence: int | None
    gpu_memory: int
    weights_bytes_per_gpu: int
    overhead_bytes_per_gpu: int
    available_bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Stage:
    blocks: int
    token_bytes: int
    weights: int
    available: int


def kv_capacity(
    config: ModelConfig | str | PathLike[str] | Mapping[str, object],
    *,
    gpu_memory: int | float | str,
    utilisation: float = DEFAULT_UTILISATION,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    block_size: int = 16,
    weights: int | float | str | None = None,
    kv_dtype: str = "auto",
    overhead: int | float | str = DEFAULT_OVERHEAD,
) -> KVMemory:
    """KV tokens that fit beside the weights, as vLLM counts them at start-up.

    Per pipeline stage, ``available = gpu_memory × utilisation − weights − overhead`` and
    ``blocks = ⌊available / (block_size × bytes per token on the GPU)⌋``; the smallest decides.

    Parameters
    ----------
    config
        A model, or what `read_model_config` reads.
    gpu_memory
        Of one GPU, for `parse_bytes`: best the total that nvidia-smi prints, ``"81559MiB"``.
    utilisation
        Share of it the engine may use, in (0, 1].
    tensor_parallel, pipeline_parallel
        GPUs a layer is split over, and stages the layers are split into.
    block_size
        Tokens per KV block.
    weights
        Size of all weights, for `parse_bytes`; ``None``: see `model_weights`.
    kv_dtype
        ``"auto"`` (the model's own, or that of a given `ModelConfig`) or a key of `DTYPE_BYTES`.
    overhead
        Memory per GPU for all but weights and KV.

    Raises
    ------
    InputError
        If an argument is out of range, the model cannot be split so, its KV layout or the size of
        its weights cannot be established, or the weights leave no room for a block.
    """
    memory, spare = parse_bytes(gpu_memory, field="gpu_memory"), _overhead(overhead)
    budget = _budget(memory, utilisation)
    tp = _whole(tensor_parallel, "tensor_parallel", 2**16)
    stages = _whole(pipeline_parallel, "pipeline_parallel", 10_000)
    block = _whole(block_size, "block_size", 2**20)
    if not isinstance(config, ModelConfig):
        model = read_model_config(config, kv_dtype=kv_dtype)
    else:
        model = config if kv_dtype == "auto" else config.with_kv_dtype(kv_dtype)
    if not model.bytes_per_token:
        raise model.fields.error(
            "the model has no attention layer, hence no KV cache", "model_type"
        )
    _check_tensor_parallel(model, tp)
    sizes = model_weights(model, weights)
    found = []
    for position, kinds in enumerate(_split(model.layers, stages)):
        first, last = position == 0, position == stages - 1
        size = sizes.stage(len(kinds), len(model.layers), first=first, last=last)
        stage = _fit(kinds, model, -(-size // tp), budget - spare, block, tp)
        if stage is None:
            raise _does_not_fit(memory, budget, -(-size // tp), spare)
        found.append(stage)
    # A stage without attention layers (hybrid models) sets no bound.
    decisive = min((s for s in found if s.token_bytes), key=lambda s: s.blocks)
    if decisive.blocks < 1:
        raise _does_not_fit(memory, budget, decisive.weights, spare)
    return KVMemory(
        kv_tokens=decisive.blocks * block,
        blocks=decisive.blocks,
        block_size=block,
        bytes_per_token=model.bytes_per_token,
        bytes_per_token_per_gpu=decisive.token_bytes,
        bytes_per_sequence=model.bytes_per_sequence,
        gpu_memory=memory,
        weights_bytes_per_gpu=decisive.weights,
        overhead_bytes_per_gpu=spare,
        available_bytes=decisive.available,
        notes=_notes(model, sizes, tp, stages, spare),
    )


def _overhead(value: object) -> int:
    return parse_bytes(value, field="overhead", allow_zero=True)


def _budget(memory: int, utilisation: object) -> int:
    # Written so that NaN fails it.
    if (
        isinstance(utilisation, bool)
        or not isinstance(utilisation, int | float)
        or not 0 < utilisation <= 1
    ):
        raise InputError(
            f"{shown(utilisation)} is out of range", field="utilisation", allowed="0 < share ≤ 1"
        )
    # Through the decimal text: 0.9 means nine tenths, not the nearest binary fraction.
    return int(memory * Fraction(str(utilisation)))


def _whole(value: object, field: str, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise InputError(
            f"{shown(value)} is not usable", field=field, allowed=f"whole number, 1 to {high}"
        )
    return value


def _check_tensor_parallel(model: ModelConfig, tp: int) -> None:
    if model.attention_heads % tp:
        raise InputError(
            f"{tp} does not divide the model's {model.attention_heads} attention heads",
            field="tensor_parallel",
        )
    if not model.mla and model.kv_heads % tp and tp % model.kv_heads:
        raise InputError(
            f"{tp} neither divides nor is a multiple of the model's {model.kv_heads} KV heads",
            field="tensor_parallel",
        )


def _split(layers: tuple[LayerKind, ...], stages: int) -> list[tuple[LayerKind, ...]]:
    # vLLM distributed/utils.py, get_pp_indices: layers left over go to the stages before the last,
    # from the last but one backwards.
    if stages > len(layers):
        raise InputError(
            f"{stages} stages for {len(layers)} layers",
            field="pipeline_parallel",
            allowed=f"1 to {len(layers)}",
        )
    sizes = [len(layers) // stages] * stages
    for extra in range(len(layers) % stages):
        sizes[-2 - extra] += 1
    starts = [sum(sizes[:i]) for i in range(stages)]
    return [layers[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def _fit(
    kinds: tuple[LayerKind, ...],
    model: ModelConfig,
    weights: int,
    budget: int,
    block: int,
    tp: int,
) -> _Stage | None:
    available = budget - weights
    if available <= 0:
        return None
    token_bytes = sum(kind.holds_kv for kind in kinds) * model.layer_bytes(tp)
    blocks = available // (block * token_bytes) if token_bytes else 0
    return _Stage(blocks, token_bytes, weights, available)


def _does_not_fit(memory: int, budget: int, weights: int, spare: int) -> InputError:
    return InputError(
        f"no room for KV: weights {format_bytes(weights)} + overhead {format_bytes(spare)} per GPU "
        f"of the {format_bytes(budget)} usable (of {format_bytes(memory)})",
        field="gpu_memory",
    )


def _notes(model: ModelConfig, sizes: Weights, tp: int, stages: int, spare: int) -> tuple[str, ...]:
    notes = [
        f"{format_bytes(spare)} per GPU set aside for activations, CUDA graphs and buffers; "
        "the exact number of KV tokens is in the engine's start-up log",
        sizes.note,
        *model.notes,
    ]
    if tp > 1:
        notes.append(f"weights divided evenly over {tp} GPUs")
        if model.mla:
            notes.append(f"MLA: each of the {tp} GPUs holds every token's vector whole")
        elif tp > model.kv_heads:
            notes.append(f"{model.kv_heads} KV heads replicated over {tp} GPUs")
    if stages > 1:
        notes.append(f"layers split over {stages} stages as vLLM does, taken to be of equal size")
    if model.bytes_per_token_full_attention != model.bytes_per_token:
        notes.append(
            f"every layer counted as keeping every token: conservative beyond the window of "
            f"{model.sliding_window:,} tokens"
        )
    if model.bytes_per_sequence:
        # On one GPU: the state is divided, KV heads may be replicated.
        attending = sum(kind.holds_kv for kind in model.layers)
        worth = -(-model.bytes_per_sequence // (tp * attending * model.layer_bytes(tp)))
        notes.append(
            f"state not subtracted: each running sequence takes {model.bytes_per_sequence:,} B "
            f"more, the room of {worth:,} tokens"
        )
    return tuple(notes)
