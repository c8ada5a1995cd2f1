"""Any policy, with an order in which requests are evicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvsteady.admission import Policy, Setup, Victim, victim_of


@dataclass(frozen=True)
class WithVictims:
    """Admit as ``policy`` does; when memory is short, evict in the order of ``victim``.

    Raises
    ------
    InputError
        ``victim`` is no `Victim`.
    """

    policy: Policy
    victim: Victim

    def __post_init__(self) -> None:
        victim_of(self)

    @property
    def sees_running(self) -> bool:
        """As the policy."""
        return self.policy.sees_running

    @property
    def oracle(self) -> bool:
        """As the policy."""
        return self.policy.oracle

    def start(self, setup: Setup) -> Any:
        """What the policy remembers."""
        return self.policy.start(setup)
