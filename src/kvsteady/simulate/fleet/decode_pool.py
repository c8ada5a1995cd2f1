"""The second half of a disaggregated fleet: who decodes, and how KV gets there."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvsteady.errors import InputError
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.transfer import Transfer


@dataclass(frozen=True)
class DecodePool:
    """Replicas that decode what others have prefilled; see `run_disaggregated`.

    Parameters
    ----------
    replicas
        One or more.
    router
        Which of them a request goes to; needed with more than one.
    transfer
        How long the prompt's KV is on its way.

    Raises
    ------
    InputError
        No replica, or several and no router.
    """

    replicas: tuple[Replica, ...]
    router: Router | None = None
    transfer: Transfer = field(default_factory=Transfer)

    def __post_init__(self) -> None:
        if not self.replicas:
            raise InputError("no replica given", field="decode", allowed="one or more")
        # Found now: the decode pool runs when the prefill pool is done.
        if len(self.replicas) > 1 and self.router is None:
            raise InputError(
                f"{len(self.replicas)} replicas and no router",
                field="decode.router",
                allowed="a router",
            )
