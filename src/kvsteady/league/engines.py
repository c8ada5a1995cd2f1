"""The engines of the league, their speed, and what they serve when nothing is evicted."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np

from kvsteady.model.system import System
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.engines.sglang_regulated import without_reservation
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.times import IterationTime, fitted_time
from kvsteady.simulate.times.form import iteration_seconds
from kvsteady.theory.caps import rate_caps

EngineName: TypeAlias = Literal["vllm", "sglang"]
ENGINES: Final[tuple[EngineName, ...]] = ("vllm", "sglang")
TIME: Final = "llama-3.1-8b_h100"


def engine_of(
    name: EngineName, block_size: int, *, regulated: bool, cached: bool = False
) -> Engine:
    """An engine scheduling synchronously, with its prefix cache if ``cached``.

    ``regulated``: a policy decides who gets in; False: SGLang as it comes.
    """
    if name == "vllm":
        return Vllm(block_size=block_size, enable_prefix_caching=cached, async_scheduling=False)
    stock = Sglang(disable_radix_cache=not cached)
    return without_reservation(stock) if regulated else stock


@cache
def iteration_time() -> IterationTime:
    """What iterations take: measured operators of an H100, see `fitted_time`."""
    return fitted_time(TIME)


def seconds_per_iteration(name: str, system: System, time: IterationTime | None = None) -> float:
    """Seconds of a decode iteration at the largest steady rate without evictions (`rate_caps`),
    with the prefill it needs: in iterations of its own on SGLang, in the same on other engines.

    ``time`` is what iterations take; the league's if None.
    """
    load, rate = system.workload, rate_caps(system).steady
    often = min(rate, 1.0)  # iterations with a prefill
    pairs = rate * float(load.share @ load.prompt.astype(np.float64) ** 2) / 2 / often
    prefill, decode = rate * load.mean_prompt / often, rate * load.mean_output
    read = rate * float(load.memory_weights().sum())
    form = (time or iteration_time()).form()
    alone = float(iteration_seconds(form, 0.0, 0.0, decode, read, 0.0))
    if name == "sglang":
        own = float(iteration_seconds(form, 1.0, prefill, 0.0, 0.0, pairs))
        return alone + often * own
    both = float(iteration_seconds(form, 1.0, prefill, decode, read, pairs))
    return often * both + (1 - often) * alone


def capacity(name: str, system: System, time: IterationTime | None = None) -> float:
    """Requests per second that the engine serves while it evicts nobody, by the time model.

    With random lengths some memory stays free for their noise: two standard deviations.
    """
    return rate_caps(system).steady / seconds_per_iteration(name, system, time)
