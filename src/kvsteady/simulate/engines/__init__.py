"""The engines by name; each is one file, imported when it is asked for.

`kvsteady.simulate.engine` says how to write one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kvsteady.errors import InputError, shown

if TYPE_CHECKING:
    from kvsteady.simulate.engines.paper import Paper
    from kvsteady.simulate.engines.sglang import Sglang
    from kvsteady.simulate.engines.transformers import Transformers
    from kvsteady.simulate.engines.trtllm import TensorRtLlm
    from kvsteady.simulate.engines.vidur_sarathi import VidurSarathi
    from kvsteady.simulate.engines.vidur_vllm import VidurVllm
    from kvsteady.simulate.engines.vllm import Vllm

__all__ = [
    "ENGINES",
    "Paper",
    "Sglang",
    "TensorRtLlm",
    "Transformers",
    "VidurSarathi",
    "VidurVllm",
    "Vllm",
    "engine_class",
]

# The file and the class of each.
_HOMES = {
    "vllm": ("vllm", "Vllm"),
    "sglang": ("sglang", "Sglang"),
    "tensorrt-llm": ("trtllm", "TensorRtLlm"),
    "transformers": ("transformers", "Transformers"),
    "vidur-vllm": ("vidur_vllm", "VidurVllm"),
    "vidur-sarathi": ("vidur_sarathi", "VidurSarathi"),
    "paper": ("paper", "Paper"),
}
_NAMES = {kind: name for name, (_, kind) in _HOMES.items()}


class Engines(Mapping[str, type[Any]]):
    """The dataclass of each engine's options, by the name that ``--engine`` takes.

    To add an engine, write its file (see `kvsteady.simulate.engine.Engine`) and name it in
    ``simulate/engines/__init__.py``.
    """

    def __getitem__(self, name: str) -> type[Any]:
        file, kind = _HOMES[name]
        engine: type[Any] = getattr(import_module(f"{__name__}.{file}"), kind)
        return engine

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


ENGINES = Engines()
"""The engines, in a mapping that imports each when it is asked for."""


def engine_class(name: str) -> type[Any]:
    """The options of the engine of that name, as a dataclass.

    Raises
    ------
    InputError
        No engine of that name.
    """
    if name not in _HOMES:
        raise InputError(f"no engine {shown(name)}", field="engine", allowed=", ".join(_HOMES))
    return ENGINES[name]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return ENGINES[_NAMES[name]]
