"""How the simulator's kernels are compiled, and which of them are kept on disk."""

from __future__ import annotations

from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache


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
    _impl_class = _OwnCode


def kernel(function: Any) -> Any:
    """Compile a kernel function of the simulator."""
    # The kernels allocate nothing, so nothing has to count references to the state's many arrays:
    # that would cost more than what they do.
    compiled = numba.njit(error_model="numpy", _nrt=False)(function)
    compiled._cache = _Cache(compiled.py_func)
    return compiled
