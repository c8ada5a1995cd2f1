"""Arrays inside a sweep's points: short, and the same wherever they are read."""

from __future__ import annotations

import zlib
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Kind: TypeAlias = Literal["<i8", "<f8"]


class Packed(msgspec.Struct, frozen=True):
    """An array of 64-bit numbers: ``data`` is compressed, in C order, little-endian."""

    kind: Kind
    shape: tuple[int, ...]
    data: bytes


def packed(array: npt.ArrayLike, kind: Kind) -> Packed:
    """Pack an array of whole (``<i8``) or real (``<f8``) numbers."""
    plain = np.ascontiguousarray(array, dtype=kind)
    return Packed(kind, plain.shape, zlib.compress(plain.tobytes()))


def unpacked(array: Packed) -> Any:
    """The array again, not to be written to."""
    return np.frombuffer(zlib.decompress(array.data), dtype=array.kind).reshape(array.shape)
