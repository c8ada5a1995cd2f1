"""The engines by name; each is one file, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from kvsteady.errors import InputError, shown

_HOMES = {
    "vllm": "vllm",
    "sglang": "sglang",
    "tensorrt-llm": "trtllm",
    "transformers": "transformers",
    "vidur-vllm": "vidur_vllm",
    "vidur-sarathi": "vidur_sarathi",
    "paper": "paper",
}


class Engines(Mapping[str, type[Any]]):
    """The dataclass of each engine's options, by the name that ``--engine`` takes.

    To add an engine, write its file (see `kvsteady.simulate.engine.Engine`) and name it above.
    """

    def __getitem__(self, name: str) -> type[Any]:
        home = _HOMES[name]
        engine: type[Any] = import_module(f"{__name__}.{home}").ENGINE
        return engine

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


ENGINES = Engines()


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
