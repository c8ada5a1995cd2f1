"""Stretches of a trace, one per seed: what a replay has in place of draws."""

from __future__ import annotations

from typing import Final

import numpy as np

from kvsteady.advise.tuning.packed import Packed, packed, unpacked
from kvsteady.errors import InputError
from kvsteady.simulate.loads.requests import scaled
from kvsteady.workload.arrivals import Arrivals

# Requests of a stretch, at least: fewer have no 99th percentile.
FEWEST: Final = 100


def stretch_of(arrivals: Arrivals, place: int, of: int, *, most: int, rate: float) -> Packed:
    """One of ``of`` stretches of a trace that follow each other and share no request.

    Parameters
    ----------
    arrivals
        The trace.
    place, of
        Which stretch, from 0, of how many.
    most
        Only its first so many requests.
    rate
        Requests per second of the whole trace, to which its times are stretched evenly.

    Returns
    -------
    Packed
        Seconds from its first request, prompts and outputs, shape ``(3, n)``.

    Raises
    ------
    InputError
        A stretch has fewer than 100 requests, or all of the trace came at once.
    """
    many = len(arrivals) // of
    if many < FEWEST:
        raise InputError(
            f"{len(arrivals):,} requests are {many:,} for each of {of} runs",
            field="replay",
            allowed=f"a trace of {FEWEST * of:,} or more, or fewer seeds",
        )
    part = slice(place * many, place * many + min(many, most))
    seconds = scaled(arrivals.seconds, rate)[part]
    rows = [seconds - seconds[0], arrivals.prompt[part], arrivals.output[part]]
    return packed(np.stack(rows), "<f8")


def arrivals_of(stretch: Packed) -> Arrivals:
    """The requests of a stretch again."""
    return Arrivals.recorded(*unpacked(stretch))
