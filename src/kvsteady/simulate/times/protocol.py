"""What an iteration-time model is, and how any Python function becomes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from kvsteady.arrays import FloatArray, frozen_floats
from kvsteady.errors import InputError, shown
from kvsteady.simulate.times.form import TimeForm, rows_form, table_form


class IterationTime(Protocol):
    """How long an iteration takes.

    To add one, write a frozen dataclass with the single method `form`, which puts its numbers into
    the form that the kernels evaluate. `rows_form` does that (see `LinearTime` for a sum of terms,
    `RooflineTime` for one with a maximum), and `sampled` does it for whatever a Python function
    returns.
    """

    def form(self) -> TimeForm:
        """Seconds of an iteration, as rows of coefficients and a table."""
        ...


@dataclass(frozen=True, eq=False)  # arrays have no equality of their own
class TabledTime:
    """Iteration time that stands in a table.

    Parameters
    ----------
    prefill, decode, kv
        Ascending prefill tokens, decode tokens and KV tokens read.
    seconds
        Shape ``(len(prefill), len(decode), len(kv))``.
    """

    prefill: FloatArray
    decode: FloatArray
    kv: FloatArray
    seconds: FloatArray = field(repr=False)

    def form(self) -> TimeForm:
        """The table alone; what is the same everywhere is a row."""
        if self.seconds.size == 1:
            return rows_form([(self.seconds.item(), 0.0, 0.0, 0.0, 0.0, 0.0)])
        return table_form((self.prefill, self.decode, self.kv), self.seconds)


def sampled(
    function: Callable[[float, float, float], float],
    *,
    prefill: Sequence[float],
    decode: Sequence[float],
    kv: Sequence[float],
) -> TabledTime:
    """Turn any function into an iteration-time model: call it on a grid, interpolate between.

    Parameters
    ----------
    function
        ``(prefill tokens, decode tokens, KV tokens read) -> seconds``. It is called once per
        combination of the axes, also those no engine meets (KV tokens read, but nobody decodes).
    prefill, decode, kv
        Where: ascending, at least 0. Beyond an axis the last two points are extended linearly; an
        axis of one point does not matter.

    Raises
    ------
    InputError
        If an axis is empty or not ascending, or the function returns no finite number ≥ 0.
    """
    axes = _axis(prefill, "prefill"), _axis(decode, "decode"), _axis(kv, "kv")
    seconds = np.empty([axis.size for axis in axes])
    for index in np.ndindex(*seconds.shape):
        at = [float(axis[i]) for axis, i in zip(axes, index, strict=True)]
        value = float(function(*at))
        if not 0.0 <= value < np.inf:
            place = ", ".join(f"{x:g}" for x in at)
            raise InputError(
                f"is {shown(value)} at ({place})", field="function", allowed="seconds, at least 0"
            )
        seconds[index] = value
    return TabledTime(*axes, frozen_floats(seconds))


def _axis(values: Sequence[float], name: str) -> FloatArray:
    axis = frozen_floats(values)
    # Written so that NaN fails it.
    if not (
        axis.ndim == 1
        and axis.size
        and axis[0] >= 0
        and axis[-1] < np.inf
        and bool(np.all(np.diff(axis) > 0))
    ):
        raise InputError(
            f"{shown(values)} is not usable", field=name, allowed="ascending numbers, at least 0"
        )
    return axis
