"""To the replica with the most KV memory left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.simulate.fleet.router import Choose, Request, View


@dataclass(frozen=True)
class LeastKv:
    """To the replica whose memory is least in demand: KV held and prompts that wait, as a share."""

    def start(self) -> Choose:
        """Remember nothing."""
        return _choose


def _demand(replica: View) -> float:
    held = replica.kv_tokens - replica.free_tokens
    return (held + replica.waiting_tokens) / replica.kv_tokens


def _choose(request: Request, replicas: Sequence[View]) -> int:
    found = [_demand(replica) for replica in replicas]
    return found.index(min(found))
