"""Where an admission policy plugs into the exact model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kvsteady.admission import Policy
from kvsteady.errors import InputError, shown
from kvsteady.model.system import System


@dataclass(frozen=True)
class Pace:
    """Admissions allowed per iteration: a token bucket, in requests.

    ``rate`` is added each iteration, the bucket holds ``depth`` at most, and an admission takes
    1 from it. In the fluid model fractions are admitted as they come, so ``depth = rate``
    forbids saving up; whole requests need ``depth ≥ rate + 1``, or the fraction left over when
    the bucket is full is lost and the rate with it.
    """

    rate: float
    depth: float

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("depth", self.depth)):
            if not value > 0:  # catches NaN too
                raise InputError(f"{shown(value)} is out of range", field=name, allowed="above 0")


UNLIMITED = Pace(math.inf, math.inf)


@runtime_checkable
class PacedPolicy(Protocol):
    """A policy that both exact models can run: it admits what fits, up to a pace.

    Any `Policy` runs in the integer model; one that has a pace runs in the fluid one too, and fast.

    To write one, give `pace`: how many requests may be admitted per iteration in this system,
    and how much unused allowance is kept. It is called once per run, before the first iteration.
    """

    def pace(self, system: System, *, whole_requests: bool) -> Pace:
        """Return the pace for this system; ``whole_requests`` is True in the integer model."""


def pace_of(
    policy: PacedPolicy | Policy | None, system: System, *, whole_requests: bool
) -> Pace | Policy:
    """Return the pace of a policy, or the policy itself if it has none; None admits greedily."""
    if policy is None:
        return UNLIMITED
    if isinstance(policy, PacedPolicy):
        return policy.pace(system, whole_requests=whole_requests)
    return policy
