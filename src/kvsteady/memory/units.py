"""Memory sizes as people write them: "80GiB", "80GB", "80e9" or plain bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from kvsteady.errors import InputError, shown

#: No machine has an exbibyte of memory on one GPU: anything above is a slip of the pen.
MAX_BYTES = 2**60

_UNITS: Mapping[str, int] = MappingProxyType(
    {"": 1, "b": 1}
    | {f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", start=1)}
    | {f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", start=1)}
)
_SIZE = re.compile(
    r"\s*(\d{1,25}(?:\.\d{0,25})?(?:e\+?\d{1,2})?)\s*([kmgt]?i?b?)\s*", re.ASCII | re.I
)
_ALLOWED = "bytes, or a number with B, kB, MB, GB, TB (decimal) or KiB, MiB, GiB, TiB (binary)"


def parse_bytes(value: object, *, field: str = "memory", allow_zero: bool = False) -> int:
    """Read a memory size in bytes.

    Parameters
    ----------
    value
        An ``int`` or whole ``float`` of bytes, or text such as ``"80GiB"`` (80 × 1024³),
        ``"80GB"`` (80 × 1000³), ``"81559MiB"`` (as nvidia-smi prints it) or ``"80e9"``.
    field
        What the size is of, for the error.
    allow_zero
        Whether 0 is a size.

    Returns
    -------
    int
        Bytes, rounded down to a whole byte.

    Raises
    ------
    InputError
        If it is not such a size, not finite, negative, zero (unless allowed) or above 1 EiB.
    """
    size = _exact(value)
    if size is None:
        raise InputError(f"{shown(value)} is not a memory size", field=field, allowed=_ALLOWED)
    low = 0 if allow_zero else 1
    if not low <= size <= MAX_BYTES:
        raise InputError(
            f"{shown(value)} is out of range", field=field, allowed=f"{low} B to 1 EiB"
        )
    return int(size)


def _exact(value: object) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    match = _SIZE.fullmatch(value)
    if match is None or (unit := match[2].lower()) not in _UNITS:
        return None
    return Fraction(match[1]) * _UNITS[unit]


def format_bytes(size: int) -> str:
    """Write bytes for a person: GiB with two decimals, whole bytes below 1 MiB."""
    return f"{size:,} B" if size < 1024**2 else f"{size / 1024**3:,.2f} GiB"
