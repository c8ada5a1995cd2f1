"""Kernels compiled for an engine from elsewhere are not kept on disk: see `kernels._OwnCode`."""

from __future__ import annotations

from typing import NamedTuple

import numba

from kvsteady.kernels import _is_ours, kernel
from kvsteady.simulate.engines.paper import Paper


class _Elsewhere(NamedTuple):
    number: int = 0


@kernel
def _first(habits):
    return habits[0]


def test_only_classes_of_the_package_are_found_again() -> None:
    assert _is_ours(numba.typeof(Paper().habits()))
    assert _is_ours(numba.typeof(1.5))
    assert not _is_ours(numba.typeof(_Elsewhere()))


def kept() -> list[tuple[object, ...]]:
    return [key[0] for key in _first._cache._cache_file._load_index()]


def test_what_is_compiled_for_a_class_from_elsewhere_is_not_kept() -> None:
    assert _first(_Elsewhere(7)) == 7
    assert _first((8,)) == 8
    assert (numba.typeof((8,)),) in kept()
    assert (numba.typeof(_Elsewhere()),) not in kept()
