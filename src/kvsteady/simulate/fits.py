"""Whether anything of a load ever fits in memory, known before the run."""

from __future__ import annotations

from collections.abc import Sequence

from kvsteady.errors import InputError
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.load import Feed


def check_fits(feed: Feed, replicas: Sequence[Replica]) -> None:
    """Refuse a load of which every request would be rejected by every replica.

    Raises
    ------
    InputError
        The request with the fewest tokens needs more blocks than any replica has.
    """
    prompt, output = feed.smallest
    if any(_needed(prompt + output, each) <= _blocks(each) for each in replicas):
        return
    largest = max(replicas, key=lambda each: each.kv_tokens)
    size = largest.engine.block_size
    needed = _needed(prompt + output, largest)
    raise InputError(
        f"{largest.kv_tokens:,} KV tokens ({_blocks(largest):,} blocks of {size}) hold no request "
        f"of the load: the smallest, with prompt {prompt:,} and output {output:,}, needs "
        f"{needed:,} blocks",
        field="kv_tokens",
        allowed=f"{needed * size:,} or more",
    )


def _needed(tokens: int, replica: Replica) -> int:
    return -(-(tokens - replica.engine.unwritten) // replica.engine.block_size)


def _blocks(replica: Replica) -> int:
    return replica.kv_tokens // replica.engine.block_size
