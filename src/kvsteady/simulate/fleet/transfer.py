"""What it takes to move KV from one engine to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvsteady.simulate.loads.requests import at_least_zero
from kvsteady.workload.ranges import real_number


@dataclass(frozen=True)
class Transfer:
    """Seconds from the end of a prefill to its KV's arrival: latency + tokens × seconds per token.

    Transfers do not wait for each other: a link with less bandwidth than they need together is not
    modelled.

    Parameters
    ----------
    seconds_per_token
        Per KV token.
    latency
        Seconds per request.

    Raises
    ------
    InputError
        A number below 0.
    """

    seconds_per_token: float = 0.0
    latency: float = 0.0

    def __post_init__(self) -> None:
        at_least_zero(self.seconds_per_token, "seconds_per_token")
        at_least_zero(self.latency, "latency")

    @classmethod
    def over(cls, bandwidth: float, bytes_per_token: float, latency: float = 0.0) -> Transfer:
        """Over a link.

        Parameters
        ----------
        bandwidth
            Bytes per second that one transfer gets.
        bytes_per_token
            Of KV, in the whole model (`KVMemory.bytes_per_token`).
        latency
            Seconds per request.
        """
        each = real_number(bytes_per_token, "bytes_per_token")
        return cls(each / real_number(bandwidth, "bandwidth"), latency)

    def seconds(self, tokens: Any) -> Any:
        """Seconds for so many KV tokens, elementwise."""
        return self.latency + tokens * self.seconds_per_token
