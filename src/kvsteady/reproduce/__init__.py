"""Every claim of the paper, measured: what it says, what was found, and how it stands."""

from kvsteady.reproduce.claim import Claim, Measured
from kvsteady.reproduce.finding import (
    Chart,
    Check,
    Finding,
    Outcome,
    Reproduction,
    Series,
    load_reproduction,
)
from kvsteady.reproduce.run import reproduce

__all__ = [
    "Chart",
    "Check",
    "Claim",
    "Finding",
    "Measured",
    "Outcome",
    "Reproduction",
    "Series",
    "load_reproduction",
    "reproduce",
]
