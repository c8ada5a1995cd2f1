"""Kernels: how numba functions over flat arrays are compiled, kept, and chosen by type.

An engine, a memory and a policy are `NamedTuple` classes of numbers and arrays. A kernel calls a
*door*, say ``schedule(engine, memory, s)``; numba looks up which code goes with the class of
``engine`` when it compiles the call, so it costs nothing, and a new engine is a new file that
registers its code: ``@schedule_of(MyHabits)``.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# (numba's extension interface is untyped)

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.core.errors import TypingError
from numba.extending import overload

Code = TypeVar("Code", bound=Callable[..., Any])


def _is_ours(kind: Any) -> bool:
    """Whether a numba type can be found again wherever the package is installed."""
    python = getattr(kind, "instance_class", None)
    return python is None or python.__module__.startswith("kvsteady.")


class _OwnCode(CompileResultCacheImpl):  # type: ignore[misc]  # numba is untyped
    """Leaves out what was compiled for an engine from elsewhere.

    Numba's index of a function names the classes it was compiled for; where one of them cannot be
    imported, say that of a script, it could not be read again for any engine.
    """

    def check_cachable(self, cres: Any) -> bool:
        return all(map(_is_ours, cres.signature.args)) and super().check_cachable(cres)


class _Cache(FunctionCache):  # type: ignore[misc]  # numba is untyped
    """Keeps compiled code while no file with kernels has changed.

    A kernel holds the code of those that it calls, and the shapes of arrays that other files make;
    numba looks only at the kernel's own file. What is left over from another version would write
    where there is no array.
    """

    _impl_class = _OwnCode

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=_stamp(),
        )


@cache
def _stamp() -> tuple[int, int]:
    """Numbers that change with the version and with any file that kernels are made of."""
    home = Path(__file__).parent
    version = crc32((home / "__init__.py").read_bytes())
    files = [Path(__file__)]
    for room in ("admission", "model", "policies", "simulate"):
        files += (home / room).rglob("*.py")
    state = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(files)]
    return version, crc32(repr(state).encode())


def kernel(function: Any) -> Any:
    """Compile a kernel function."""
    # The kernels allocate nothing, so nothing has to count references to the state's many arrays:
    # that would cost more than what they do.
    # A call hands over the state as a hundred and more words, which costs more than what most of
    # the functions do: they become part of their callers.
    compiled = numba.njit(error_model="numpy", _nrt=False, forceinline=True)(function)
    compiled._cache = _Cache(compiled.py_func)
    return compiled


class Door:
    """Registers code by class for one kernel function; ``otherwise`` is for those without."""

    def __init__(
        self, function: Callable[..., Any], otherwise: Callable[..., Any] | None = None
    ) -> None:
        self.name = function.__name__
        self.codes: dict[Any, Callable[..., Any]] = {}

        def choose(first: Any, *rest: Any) -> Callable[..., Any]:  # noqa: ARG001 -- numba's call
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
