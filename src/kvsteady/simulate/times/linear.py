"""Iteration time as a sum of terms."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from kvsteady.errors import InputError, shown
from kvsteady.simulate.times.form import TimeForm, rows_form


@dataclass(frozen=True)
class LinearTime:
    """Seconds of an iteration, linear in what it computes and reads.

    The terms in the order of `FEATURES`; all are seconds, at least 0. Without sharper knowledge:
    ``iteration`` is what reading the weights takes, ``prefill`` and ``decode`` what one token's
    arithmetic takes, ``kv_read`` what reading one KV token takes.

    Parameters
    ----------
    iteration
        Every iteration.
    prefill, decode
        Per prefill (or recompute) token, and per request that decodes a token.
    kv_read
        Per KV token that the decoding requests read.
    has_prefill
        Every iteration with prefill in it.
    prefill_pairs
        Per query-key pair of the prefill's attention.

    Raises
    ------
    InputError
        If a term is no finite number ≥ 0, or all of them are 0.
    """

    iteration: float
    prefill: float
    decode: float
    kv_read: float
    has_prefill: float = 0.0
    prefill_pairs: float = 0.0

    def __post_init__(self) -> None:
        terms = [(field.name, getattr(self, field.name)) for field in fields(self)]
        for name, value in terms:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0.0 <= value < math.inf):
                raise InputError(
                    f"{shown(value)} is out of range", field=name, allowed="seconds, at least 0"
                )
        if not any(value for _, value in terms):
            raise InputError("every term is 0: no time would pass", field="iteration")

    def form(self) -> TimeForm:
        """One row."""
        return rows_form(
            [
                (
                    self.iteration,
                    self.has_prefill,
                    self.prefill,
                    self.decode,
                    self.kv_read,
                    self.prefill_pairs,
                )
            ]
        )
