"""One file per claim, in the order of the theory."""

from kvsteady.reproduce.claim import Claim
from kvsteady.reproduce.claims import (
    coprime_evictions,
    cubic_threshold,
    elsewhere,
    eviction_time,
    exact_capture,
    gcd,
    local_picture,
    lyapunov_decay,
    mixing_classes,
    pulse,
    random_lengths,
    rate_cap,
    reference_run,
    resume,
    speculation,
    spread,
    support_loss,
    throughput_envelope,
    tier_choice,
    worst_cycle,
)

CLAIMS: tuple[Claim, ...] = (
    reference_run.CLAIM,
    spread.CLAIM,
    worst_cycle.CLAIM,
    support_loss.CLAIM,
    local_picture.CLAIM,
    exact_capture.CLAIM,
    throughput_envelope.CLAIM,
    gcd.CLAIM,
    cubic_threshold.CLAIM,
    coprime_evictions.CLAIM,
    lyapunov_decay.CLAIM,
    eviction_time.CLAIM,
    pulse.CLAIM,
    rate_cap.CLAIM,
    tier_choice.CLAIM,
    mixing_classes.CLAIM,
    random_lengths.CLAIM,
    resume.CLAIM,
    speculation.CLAIM,
    *elsewhere.CLAIMS,
)

__all__ = ["CLAIMS"]
