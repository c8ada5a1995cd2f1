"""Options to the things they name: a workload, and so many KV tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from kvsteady.errors import InputError, shown
from kvsteady.memory import (
    DEFAULT_OVERHEAD,
    DEFAULT_UTILISATION,
    kv_capacity,
    read_model_config,
)
from kvsteady.progress import Progress
from kvsteady.workload import Workload, independent, parse_lengths, preset
from kvsteady.workload.traces import Columns, read_trace

_CLASS = "PROMPT:OUTPUT or PROMPT:OUTPUT:SHARE, as in 128:512:0.5"


def workload(
    *,
    classes: tuple[str, ...],
    trace: Path | None,
    trace_format: str | None,
    columns: str | None,
    preset_name: str | None,
    prompt: str | None,
    output: str | None,
    max_tokens: int | None,
    progress: Progress,
) -> Workload:
    """Build the workload from the one source that was given."""
    given = {
        "--class": bool(classes),
        "--trace": trace is not None,
        "--preset": preset_name is not None,
        "--prompt and --output": prompt is not None or output is not None,
    }
    named = [name for name, is_given in given.items() if is_given]
    if len(named) != 1:
        raise InputError(
            f"{' and '.join(named)} are both given" if named else "no workload given",
            allowed="one of --class, --trace, --preset, --prompt with --output",
        )
    if trace is None and (trace_format or columns):
        raise InputError("--format and --columns describe a trace", allowed="with --trace")
    if classes:
        load = Workload.classes([_parse_class(text) for text in classes])
    elif trace is not None:
        named_columns = None if columns is None else Columns.parse(columns)
        load = read_trace(trace, format=trace_format, columns=named_columns, progress=progress)
    elif preset_name is not None:
        load = preset(preset_name)
    else:
        if prompt is None or output is None:
            missing = "--prompt" if prompt is None else "--output"
            raise InputError(f"{missing} is missing", allowed="--prompt LAW with --output LAW")
        load = independent(
            parse_lengths(prompt, "--prompt"), parse_lengths(output, "--output", max_tokens)
        )
    return load if max_tokens is None else load.capped(max_tokens)


def workload_of(flags: Mapping[str, Any], progress: Progress) -> Workload:
    """`workload` from a command's options, by the names of its parameters."""
    return workload(
        classes=flags["classes"],
        trace=flags["trace"],
        trace_format=flags["trace_format"],
        columns=flags["columns"],
        preset_name=flags["preset"],
        prompt=flags["prompt"],
        output=flags["output"],
        max_tokens=flags["max_tokens"],
        progress=progress,
    )


def _parse_class(text: str) -> tuple[int, int] | tuple[int, int, Fraction]:
    parts = text.split(":")
    try:
        prompt, output = int(parts[0]), int(parts[1])
        if len(parts) == 2:
            return prompt, output
        if len(parts) == 3:
            return prompt, output, Fraction(parts[2])
    except (ValueError, IndexError, ZeroDivisionError):
        pass
    raise InputError(f"{shown(text)} is not a class", field="--class", allowed=_CLASS)


@dataclass(frozen=True)
class Memory:
    """KV capacity and how it was found."""

    kv_tokens: int
    notes: tuple[str, ...]


def memory(
    *,
    kv_tokens: int | None,
    model: Path | None,
    gpu_memory: str | None,
    utilisation: float | None,
    tensor_parallel: int | None,
    pipeline_parallel: int | None,
    weights_memory: str | None,
    kv_dtype: str | None,
    overhead: str | None,
    block_size: int,
) -> Memory:
    """Take the KV tokens as given, or count what the GPU holds beside the model."""
    of_model = {
        "--gpu-memory": gpu_memory,
        "--gpu-memory-utilization": utilisation,
        "--tensor-parallel": tensor_parallel,
        "--pipeline-parallel": pipeline_parallel,
        "--weights-memory": weights_memory,
        "--kv-dtype": kv_dtype,
        "--overhead": overhead,
    }
    if kv_tokens is not None:
        stray = [name for name, value in of_model.items() if value is not None]
        if model is not None or stray:
            raise InputError(
                f"--kv-tokens and {stray[0] if model is None else '--model'} are both given",
                allowed="--kv-tokens alone, or --model with --gpu-memory",
            )
        return Memory(kv_tokens, ())
    if model is None or gpu_memory is None:
        missing = "--gpu-memory" if model is not None else "--kv-tokens"
        raise InputError(
            f"{missing} is missing", allowed="--kv-tokens, or --model with --gpu-memory"
        )
    config = read_model_config(model, kv_dtype=kv_dtype or "auto")
    found = kv_capacity(
        config,
        gpu_memory=gpu_memory,
        utilisation=DEFAULT_UTILISATION if utilisation is None else utilisation,
        tensor_parallel=1 if tensor_parallel is None else tensor_parallel,
        pipeline_parallel=1 if pipeline_parallel is None else pipeline_parallel,
        block_size=block_size,
        weights=weights_memory,
        overhead=DEFAULT_OVERHEAD if overhead is None else overhead,
    )
    counted = f"{found.kv_tokens:,} KV tokens at {found.bytes_per_token:,} bytes per token"
    return Memory(found.kv_tokens, (counted, *found.notes))


def memory_of(flags: Mapping[str, Any], block_size: int, *, apart: bool) -> Memory:
    """`memory` from a command's options, by the names of its parameters.

    ``apart``: what is said of the model is for the iteration time, and not for the memory.
    """
    return memory(
        kv_tokens=flags["kv_tokens"],
        model=None if apart else flags["model"],
        gpu_memory=flags["gpu_memory"],
        utilisation=flags["gpu_memory_utilization"],
        tensor_parallel=None if apart else flags["tensor_parallel"],
        pipeline_parallel=flags["pipeline_parallel"],
        weights_memory=None if apart else flags["weights_memory"],
        kv_dtype=flags["kv_dtype"],
        overhead=flags["overhead"],
        block_size=block_size,
    )
