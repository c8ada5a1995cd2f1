"""Iteration times from NVIDIA's measured operator tables, through `aiconfigurator-core`.

The library holds, for many GPUs and engine versions, how long single operators (matrix products,
attention, all-reduces) were measured to take, and adds them up over a model. It works offline: the
tables come with the package. The numbers here are those of version 0.12.0.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.simulate.times.protocol import TabledTime, sampled
from kvsteady.workload.ranges import whole_number

#: Contexts longer than this are asked for as this: only corners of the grid, never a real batch.
_LONGEST = 131_072


def aiconfigurator_time(
    model: str,
    system: str,
    *,
    backend: str = "vllm",
    backend_version: str | None = None,
    tensor_parallel: int = 1,
    most_prefill: int = 8192,
    most_decode: int = 1024,
    most_kv: int = 2_000_000,
) -> TabledTime:
    """Sample the library's estimate of one iteration on a grid.

    Decoding requests are taken to have contexts of equal length, and prefill to be one chunk from
    the beginning of a prompt. CPU time of the engine is not in it.

    Parameters
    ----------
    model
        Name that the library knows, ``"meta-llama/Meta-Llama-3.1-8B"``, or a directory with a
        config.json.
    system
        A GPU that it has tables of, ``"h100_sxm"``, ``"a100_sxm"``, ``"rtx_pro_6000_server"``, …
    backend, backend_version
        Engine whose kernels were measured; None: the newest of which it has full tables.
    tensor_parallel
        GPUs per replica.
    most_prefill, most_decode, most_kv
        Where the grid ends; beyond it the last two points are extended linearly.

    Raises
    ------
    MissingExtraError
        If ``aiconfigurator-core`` is not installed (``pip install 'kvsteady[aiconfigurator]'``).
    InputError
        If it has no estimate for this model and system (its own reason is quoted).
    """
    tp = whole_number(tensor_parallel, "tensor_parallel", 1, 2**16)
    prefill = _doubling(64, whole_number(most_prefill, "most_prefill", 128, 2**24), fine=True)
    decode = _doubling(1, whole_number(most_decode, "most_decode", 2, 2**24))
    kv = _doubling(1024, whole_number(most_kv, "most_kv", 2048, 2**40))
    engine = import_extra("aiconfigurator_core.sdk.engine", extra="aiconfigurator")
    try:
        handle = engine.EngineHandle.compile(
            model, system, backend, backend_version=backend_version, tp_size=tp
        )
        return sampled(_seconds(handle), prefill=prefill, decode=decode, kv=kv)
    except InputError:
        raise
    except Exception as error:  # its own errors share no base class, and its text says enough
        raise InputError(
            f"aiconfigurator-core has no estimate for {model} on {system} with {backend}: "
            f"{type(error).__name__}: {error}",
            field="model",
        ) from error


def _doubling(first: int, last: int, *, fine: bool = False) -> list[float]:
    """0, first, 2·first, …, last; ``fine`` adds the middle of each step."""
    points = [0]
    while first < last:
        points.append(first)
        first *= 2
    points.append(last)
    if fine:
        points += [(low + high) // 2 for low, high in pairwise(points)]
    return [float(point) for point in sorted(set(points))]


def _seconds(handle: Any) -> Callable[[float, float, float], float]:
    """Seconds of an iteration, from the library's parts in milliseconds."""

    def seconds(prefill: float, decode: float, kv: float) -> float:
        tokens, requests = int(prefill), int(decode)
        context = int(min(max(kv / requests, 1.0), _LONGEST)) if requests else 1
        if not tokens:
            alone: float = handle.decode_step_latency(max(requests, 1), context, 2)
            return alone / 1e3
        # Its mixed step has one length for prompts and contexts, so each is asked for on its own.
        _, shared, attention, _ = handle.mixed_step_breakdown(tokens, requests, tokens, 2)
        if not requests:
            return float(shared + attention) / 1e3
        _, _, _, reading = handle.mixed_step_breakdown(tokens, requests, context, 2)
        return float(shared + attention + reading) / 1e3

    return seconds
