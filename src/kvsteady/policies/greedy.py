"""Greedy admission: whatever fits now."""

from __future__ import annotations

from dataclasses import dataclass

from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import System


@dataclass(frozen=True)
class Greedy:
    """Fill memory in every iteration without an eviction: the paper's model, and at heart what
    vLLM V1 and SGLang do.
    """

    def pace(self, system: System, *, whole_requests: bool) -> Pace:  # noqa: ARG002 -- the Protocol's
        """No limit but memory."""
        return UNLIMITED
