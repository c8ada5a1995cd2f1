"""Functions of kernels whose code is chosen by the type of their first argument.

An engine and a memory are `NamedTuple` classes of numbers and arrays. A kernel calls a *door*,
say ``schedule(engine, memory, s)``; numba looks up which code goes with the class of ``engine``
when it compiles the call, so it costs nothing, and a new engine is a new file that registers its
code: ``@schedule.of(MyHabits)``.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# (numba's extension interface is untyped)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba.core.errors import TypingError
from numba.extending import overload

Code = TypeVar("Code", bound=Callable[..., Any])


class Door:
    """Registers code by class for one kernel function; ``otherwise`` is for those without."""

    def __init__(
        self, function: Callable[..., Any], otherwise: Callable[..., Any] | None = None
    ) -> None:
        self.name = function.__name__
        self.codes: dict[Any, Callable[..., Any]] = {}

        def choose(first: Any, *rest: Any) -> Callable[..., Any]:
            kind = getattr(first, "instance_class", None)
            code = self.codes.get(kind, otherwise)
            if code is None:
                raise TypingError(f"no code for {self.name}() of {kind or first}")
            return code

        options = {"_nrt": False, "error_model": "numpy"}  # as `kernel`
        overload(function, jit_options=options, strict=False)(choose)

    def of(self, kind: type) -> Callable[[Code], Code]:
        """Register the decorated function for first arguments of class ``kind``.

        Raises
        ------
        TypeError
            If numba would take it for a class that is registered already: it converts tuples whose
            fields are all of one type into each other, whatever their names.
        """
        fields = list(kind.__annotations__.values())
        for other in self.codes:
            if len(set(fields)) == 1 and fields == list(other.__annotations__.values()):
                raise TypeError(
                    f"{self.name}: numba would take {kind.__qualname__} of {kind.__module__} for "
                    f"that of {other.__module__}; give it another field, or one of another type"
                )

        def put(code: Code) -> Code:
            self.codes[kind] = code
            return code

        return put


def schedule(engine: Any, memory: Any, s: Any) -> None:
    """Decide one iteration: preempt, admit, cut prefill into chunks. See `engine.Engine`."""
    raise NotImplementedError


def left(engine: Any, s: Any, slot: int) -> None:
    """Hear that a request completed, before its memory is released."""
    raise NotImplementedError


def hits(memory: Any, s: Any, slot: int) -> int:
    """KV tokens of a waiting request that are in memory already."""
    raise NotImplementedError


def fits(memory: Any, s: Any, slot: int, tokens: int, spare: int) -> bool:
    """Whether a request can hold ``tokens`` KV tokens and leave ``spare`` blocks free."""
    raise NotImplementedError


def hold(memory: Any, s: Any, slot: int, tokens: int) -> None:
    """Take what blocks a request lacks to hold ``tokens`` KV tokens; `fits` said they are free."""
    raise NotImplementedError


def hold_tick(memory: Any, s: Any) -> None:
    """Take the blocks that those who decode need for the coming tick."""
    raise NotImplementedError


def release(memory: Any, s: Any, slot: int) -> None:
    """Give back all blocks of a request that completed or is evicted."""
    raise NotImplementedError


def settle(memory: Any, s: Any) -> None:
    """Hear that all who completed in this iteration were released; most memories need not."""
    raise NotImplementedError


def eager(memory: Any) -> bool:
    """Whether it matters in which order blocks are taken.

    Where it does and memory is short, `hold` is called for each who decodes, in the engine's order;
    `hold_tick` takes nothing twice.
    """
    raise NotImplementedError


def _no_matter(memory: Any, s: Any) -> None:
    return


def _no(memory: Any) -> bool:
    return False


schedule_of = Door(schedule).of
left_of = Door(left).of
hits_of = Door(hits).of
fits_of = Door(fits).of
hold_of = Door(hold).of
hold_tick_of = Door(hold_tick).of
release_of = Door(release).of
settle_of = Door(settle, _no_matter).of
eager_of = Door(eager, _no).of
