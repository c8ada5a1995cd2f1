"""When requests came, where the source says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Recorded requests in order of arrival.

    Attributes
    ----------
    seconds
        Arrival times, shape ``(n,)``, in seconds since the first arrival, ascending.
    prompt, output
        Tokens of each request, shape ``(n,)``.
    """

    seconds: FloatArray
    prompt: IntArray
    output: IntArray

    @classmethod
    def recorded(
        cls, seconds: npt.ArrayLike, prompt: npt.ArrayLike, output: npt.ArrayLike
    ) -> Arrivals:
        """Sort a record by time and count the time from its first request."""
        when = np.asarray(seconds, dtype=np.float64)
        order = np.argsort(when, kind="stable")
        when = when[order]
        start = when[0] if when.size else 0.0
        return cls(
            frozen_floats(when - start),
            frozen_ints(np.asarray(prompt)[order]),
            frozen_ints(np.asarray(output)[order]),
        )

    def __len__(self) -> int:
        return int(self.seconds.size)

    @property
    def span(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.seconds[-1]) if len(self) else 0.0

    @property
    def rate(self) -> float:
        """Mean arrivals per second; 0 where the span is zero."""
        return (len(self) - 1) / self.span if self.span > 0 else 0.0
