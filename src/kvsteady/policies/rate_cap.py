"""The paper's remedy: admit no faster than the eviction-free equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kvsteady.errors import InputError, shown
from kvsteady.model.admission import Pace
from kvsteady.model.system import System
from kvsteady.theory.caps import rate_caps


@dataclass(frozen=True)
class RateCap:
    """At most ``rate`` admissions per iteration, fractions saved up (theory: section 6).

    ``rate`` in requests per iteration; None takes ``x*`` in the fluid model and
    `RateCaps.steady` for whole requests.
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(
                f"{shown(self.rate)} is out of range", field="rate", allowed="above 0, finite"
            )

    def pace(self, system: System, *, whole_requests: bool) -> Pace:
        """A token bucket that never loses the fraction of a request."""
        rate = self.rate
        if rate is None:
            caps = rate_caps(system)
            rate = caps.steady if whole_requests else caps.fluid
        return Pace(rate, rate + 1 if whole_requests else rate)
