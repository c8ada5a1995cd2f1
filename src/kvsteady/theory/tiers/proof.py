"""A design's verdict and radius in exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kvsteady.workload.law import Workload

Verdict = Literal["stable", "unstable", "marginal", "undecided"]


@dataclass(frozen=True)
class Proof:
    """What exact integer and ball arithmetic says of one law of lengths.

    Attributes
    ----------
    verdict
        ``marginal`` has roots on the unit circle and none outside; ``undecided`` is no proof.
    roots_outside
        Roots with |z| > 1; None where undecided.
    radius_low, radius_high
        Enclosure of the spectral radius.
    """

    verdict: Verdict
    roots_outside: int | None
    radius_low: float
    radius_high: float


def prove(workload: Workload) -> Proof:
    """Certify one law of lengths.

    Raises
    ------
    MissingExtraError
        Without ``kvsteady[certify]``.
    """
    # Imported here: the search does without exact arithmetic.
    from kvsteady.theory.certify import certified_radius, certify

    found = certify(workload)
    low, high = certified_radius(workload)
    names: dict[str, Verdict] = {
        "STABLE": "stable", "UNSTABLE": "unstable", "MARGINAL": "marginal",
    }  # fmt: skip
    return Proof(names.get(found.outcome.name, "undecided"), found.roots_outside, low, high)
