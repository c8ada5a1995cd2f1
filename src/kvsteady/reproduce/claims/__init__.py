"""One file per claim, in the order of the theory."""

from kvsteady.reproduce.claim import Claim
from kvsteady.reproduce.claims import (
    pulse,
    rate_cap,
    reference_run,
    spread,
    support_loss,
    worst_cycle,
)

CLAIMS: tuple[Claim, ...] = (
    reference_run.CLAIM,
    spread.CLAIM,
    worst_cycle.CLAIM,
    support_loss.CLAIM,
    pulse.CLAIM,
    rate_cap.CLAIM,
)

__all__ = ["CLAIMS"]
