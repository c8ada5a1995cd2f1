"""A policy in vLLM: ``vllm serve … --scheduler-cls kvsteady.plugins.vllm.SteadyScheduler``.

The class is made when it is asked for, as its bases are vLLM's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvsteady.plugins.vllm.scheduler import SteadyScheduler as SteadyScheduler


def __getattr__(name: str) -> Any:
    if name == "SteadyScheduler":
        return import_module("kvsteady.plugins.vllm.scheduler").SteadyScheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
