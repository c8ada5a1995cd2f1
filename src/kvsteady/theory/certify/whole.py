"""Survival weights as whole numbers, which exact arithmetic starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import IntArray
from kvsteady.errors import InputError, shown
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, whole_number


def whole_weights(workload: Workload, block_size: int = 1) -> tuple[int, ...]:
    """``w_m · Σ tickets``, exact, ``m = 0 … L−1`` (theory: section 3, general survival weights).

    With ``w_m = E[⌈(L0 + m + 1) / B⌉ B · 1{L1 > m}]``: shares are whole tickets over their sum, so
    the products are whole numbers, and the common factor moves no root.

    Raises
    ------
    InputError
        A block size that is not a whole number of 1 or more.
    """
    block_size = whole_number(block_size, "block_size", 1, MAX_PROMPT)
    age = np.arange(workload.longest_output)
    weights = np.zeros(age.size, dtype=object)
    residue = workload.prompt % block_size
    for r in np.unique(residue).tolist():
        rows = residue == r
        output = workload.output[rows]
        tickets = workload.tickets[rows].astype(object)  # the products outgrow 64 bits
        held = -(-(r + age[: output[-1]] + 1) // block_size) * block_size
        weights[: output[-1]] += held.astype(object) * _survivors(output, tickets)
        weights[: output[-1]] += _survivors(output, tickets * (workload.prompt[rows] - r))
    return tuple(weights.tolist())


def checked_weights(weights: Sequence[int]) -> tuple[int, ...]:
    """Whole weights of 0 or more, the first and the last above 0, without common factor.

    Raises
    ------
    InputError
        Anything else.
    """
    plain = [w.item() if isinstance(w, np.generic) else w for w in weights]
    odd = next((w for w in plain if type(w) is not int or w < 0), None)
    if odd is not None:
        raise InputError(
            f"{shown(odd)} is no weight", field="weights", allowed="whole numbers of 0 or more"
        )
    if not plain or not plain[0] or not plain[-1]:
        raise InputError(
            "no weight" if not plain else "starts or ends with 0",
            field="weights",
            allowed="a first and a last weight above 0",
        )
    common = math.gcd(*plain)
    return tuple(w // common for w in plain)


def weights_of(source: Workload | Sequence[int], block_size: int = 1) -> tuple[int, ...]:
    """Checked weights of a workload, or those given."""
    if isinstance(source, Workload):
        return checked_weights(whole_weights(source, block_size))
    if block_size != 1:
        raise InputError(f"{shown(block_size)} with given weights", field="block_size", allowed="1")
    return checked_weights(source)


def _survivors(output: IntArray, mass: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """``Σ mass 1{output > m}`` for ``m = 0 … max(output) − 1``, exact."""
    at = np.zeros(int(output[-1]), dtype=object)
    np.add.at(at, output - 1, mass)
    survivors: npt.NDArray[np.object_] = np.cumsum(at[::-1])[::-1]
    return survivors
