"""Rates of a system that several candidates ask for."""

from __future__ import annotations

from functools import lru_cache

from kvsteady.model.system import System
from kvsteady.theory.caps import rate_caps


@lru_cache(maxsize=64)
def steady_rate(system: System) -> float:
    """The largest steady admissions per iteration (`rate_caps`); that takes a tenth of a second."""
    return rate_caps(system).steady
