"""A proof in the place of the floating-point verdict on the spectrum."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from kvsteady.advise.analysis import Proof
from kvsteady.theory.certify import Proven, certify
from kvsteady.theory.spectrum import Spectrum, Stability
from kvsteady.workload.law import Workload

_LABELS: Final[dict[Proven, Literal["stable", "unstable", "marginal", "undecided"]]] = {
    Proven.STABLE: "stable",
    Proven.UNSTABLE: "unstable",
    Proven.MARGINAL: "marginal",
    Proven.UNDECIDED: "undecided",
}
_OUTCOMES: Final = {
    Proven.STABLE: Stability.STABLE,
    Proven.UNSTABLE: Stability.UNSTABLE,
    # Neither growth nor decay: nothing more can be said of it than of what is undecided.
    Proven.MARGINAL: Stability.UNDECIDED,
}


def proved(workload: Workload, modes: Spectrum) -> tuple[Proof, Spectrum]:
    """Prove where the roots lie, and let the spectrum say so too.

    Raises
    ------
    MissingExtraError
        Exact arithmetic (``kvsteady[certify]``) is not installed.
    """
    found = certify(workload)
    proof = Proof(
        outcome=_LABELS[found.outcome],
        roots_outside=found.roots_outside,
        roots_on_circle=found.roots_on_circle,
        method=found.method,
    )
    if not found.decided:
        return proof, modes
    outcome = _OUTCOMES[found.outcome]
    return proof, replace(modes, outcome=outcome, roots_outside=found.roots_outside)
