"""What lengths and shares are allowed, and how shares become exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import IntArray
from kvsteady.errors import InputError, shown

MAX_PROMPT = 2**24
MAX_OUTPUT = 2**20
PROMPT_RANGE = f"whole number from 0 to {MAX_PROMPT:,}"
OUTPUT_RANGE = f"whole number from 1 to {MAX_OUTPUT:,}"
MAX_TICKETS = 2**53
MAX_TOTAL = 2**60
_SHARE_TOLERANCE = 1e-6


def whole_number(value: object, name: str, low: int, high: int) -> int:
    """Check one whole number, given as an int or an integral float."""
    allowed = f"whole number from {low} to {high:,}"
    plain: object = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise InputError(f"{shown(plain)} is not a number", field=name, allowed=allowed)
    if not low <= plain <= high or plain != int(plain):  # NaN fails the first
        raise InputError(f"{shown(plain)} is out of range", field=name, allowed=allowed)
    return int(plain)


def whole_numbers(values: npt.ArrayLike, name: str, low: int, high: int) -> IntArray:
    """Check a column of whole numbers, integral floats included, shape ``(n,)``."""
    allowed = f"whole numbers from {low} to {high:,}"
    column = np.asarray(values).ravel()
    if column.size and column.dtype.kind not in "iuf":
        odd = next((value for value in column.tolist() if type(value) is not int), column[0])
        raise InputError(f"{shown(odd)} cannot stand here", field=name, allowed=allowed)
    bad = np.flatnonzero(~((column >= low) & (column <= high)))  # NaN is bad too
    if not bad.size and column.dtype.kind == "f":
        bad = np.flatnonzero(column != np.rint(column))
    if bad.size:
        raise InputError(
            f"{shown(column[bad[0]].item())} is out of range", field=name, allowed=allowed
        )
    return column.astype(np.int64)


def real_number(value: object, name: str, above: float = 0.0, most: float = math.inf) -> float:
    """Check one finite number above a bound, and at most another."""
    plain: object = value.item() if isinstance(value, np.generic) else value
    allowed = f"a number above {above:g}" + (f", at most {most:,.0f}" if most < math.inf else "")
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise InputError(f"{shown(plain)} is not a number", field=name, allowed=allowed)
    if not (above < plain <= most and plain < math.inf):
        raise InputError(f"{shown(plain)} is out of range", field=name, allowed=allowed)
    return float(plain)


def tickets_of(shares: Sequence[object]) -> list[int]:
    """Whole-number weights in the exact proportion of the shares."""
    exact: list[Fraction] = []
    for share in shares:
        try:
            # repr: the decimal that was typed (0.3), not its binary neighbour.
            plain = share.item() if isinstance(share, np.generic) else share
            value = plain if isinstance(plain, Fraction) else Fraction(repr(plain))
        except (ValueError, ZeroDivisionError):
            raise InputError(f"{shown(share)} is not a number", field="share") from None
        if not 0 < value <= 1:
            raise InputError(
                f"{shown(share)} is out of range", field="share", allowed="above 0, at most 1"
            )
        exact.append(value)
    total = sum(exact, Fraction(0))
    if abs(total - 1) > _SHARE_TOLERANCE:
        raise InputError(
            f"shares sum to {float(total):.6g}, not to 1",
            field="share",
            allowed="shares that sum to 1, fractions such as 1/3 included",
        )
    common = math.lcm(*(value.denominator for value in exact))
    tickets = [int(value * common) for value in exact]
    divisor = math.gcd(*tickets)
    tickets = [ticket // divisor for ticket in tickets]
    if sum(tickets) > MAX_TICKETS:
        tickets = [max(1, round(float(value / total) * 2**40)) for value in exact]
    return tickets
