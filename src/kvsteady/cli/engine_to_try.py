"""The engine that ``kvsteady check`` tries, and what its iterations take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvsteady.cli.options import Memory
from kvsteady.cli.times import time_part
from kvsteady.errors import InputError

if TYPE_CHECKING:
    from kvsteady.advise import OnEngine

# What engines call the tokens of a KV block.
_BLOCK_SIZES = ("block_size", "page_size", "tokens_per_block")


def engine_to_try(
    name: str | None,
    *,
    time: str | None,
    gpu: str | None,
    block_size: int | None,
    memory: Memory,
    options: dict[str, Any] | None = None,
) -> OnEngine | None:
    """The engine of that name with its defaults; None where none is named.

    ``time`` and ``gpu`` are as in ``kvsteady simulate``; a roofline takes the model from
    ``memory``. Without a ``block_size`` blocks are the engine's own; ``options`` are other options
    of the engine.

    Raises
    ------
    InputError
        A time without an engine; no engine or time of that name, or one that takes no such blocks.
    """
    if name is None:
        stray = "--time" if time is not None else "--gpu" if gpu is not None else None
        if stray is not None:
            raise InputError(f"{stray} is of no use alone", allowed="with --engine")
        return None
    # Imported here: the kernels and their compiler are not needed to refuse another option.
    from dataclasses import fields

    from kvsteady.advise import OnEngine
    from kvsteady.model.system import Eviction
    from kvsteady.simulate.engines import engine_class
    from kvsteady.simulate.engines.options import made_engine
    from kvsteady.simulate.results.words import described
    from kvsteady.simulate.runfile.times import own_time
    from kvsteady.simulate.times import FittedTime

    names = {field.name for field in fields(engine_class(name))}
    size = next((each for each in _BLOCK_SIZES if each in names), "block_size")
    given = {} if block_size is None else {size: block_size}
    try:
        engine = made_engine(name, given | (options or {}))
    except InputError as error:
        option = (error.field or "").rpartition(".")[2]
        field = "--block-size" if option in given else f"--option {option}"
        raise error.but(field=field) from None
    found = own_time(time_part(time, gpu), memory.part(), Path())
    if isinstance(found, FittedTime):
        called = f"{found.model} on {found.tensor_parallel} x {found.gpu}"
        called = "; ".join([called, *found.remarks])
    else:
        called = described(found)
    eviction = Eviction.RESTART if name == "paper" else Eviction.RESUME
    return OnEngine(engine=engine, time=found, time_name=called, eviction=eviction)
