"""When requests came, where the source says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray


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
    prompt: npt.NDArray[np.int32]
    output: npt.NDArray[np.int32]

    @classmethod
    def recorded(
        cls, seconds: npt.ArrayLike, prompt: npt.ArrayLike, output: npt.ArrayLike
    ) -> Arrivals:
        """Sort a record by time and count the time from its first request."""
        when = np.array(seconds, dtype=np.float64)  # our own copy: a trace can be long
        if (when[1:] < when[:-1]).any():
            order = np.argsort(when, kind="stable")
            when, prompt, output = when[order], np.asarray(prompt)[order], np.asarray(output)[order]
            del order
        if when.size:
            when -= when[0]
        when.flags.writeable = False
        return cls(when, _tokens(prompt), _tokens(output))

    def __len__(self) -> int:
        return int(self.seconds.size)

    @property
    def span(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.seconds[-1]) if len(self) else 0.0

    @property
    def rate(self) -> float:
        """Mean arrivals per second; 0 where the span is zero."""
        return mean_rate(self.seconds)


def mean_rate(seconds: FloatArray) -> float:
    """Arrivals per second of ascending times from 0, shape ``(n,)``; 0 where all are the same.

    Times between them count, and n arrivals have n − 1.
    """
    span = float(seconds[-1]) if seconds.size else 0.0
    return (seconds.size - 1) / span if span > 0 else 0.0


def _tokens(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """A read-only copy; no length outgrows 32 bits."""
    tokens = np.array(values, dtype=np.int32)
    tokens.flags.writeable = False
    return tokens
