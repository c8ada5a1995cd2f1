"""Which tokens of a request stand in KV blocks that others hold too, as vLLM's prefix cache has it.

A prefix is shared up to some block and not beyond: whoever holds a block came by those before it.
So a request is looked at in a few places, and where the last one looked at was shared that far too,
in two. To look at a thousand in each iteration would still cost too much: each is looked at when it
comes into memory, and then again in turn, a few per iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

# In each iteration so many who run are looked at again, and so many at the head of the queue.
AGAIN = 8
HEAD = 8


def leading(holds: Callable[[int], bool], many: int, guess: int = 0) -> int:
    """How many of ``many`` in a row hold, where none does after one that does not.

    ``guess`` is looked at first: where it is right, two looks are enough.
    """
    low, high = 0, many
    guess = min(guess, many)
    if guess > 0 and not holds(guess - 1):
        high = guess - 1
    elif guess == many or not holds(guess):
        return guess
    else:
        low = guess + 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            low = middle + 1
        else:
            high = middle
    return low


class Sharing:
    """Tokens in blocks of several, of who runs and of the head of the queue.

    Parameters
    ----------
    manager
        vLLM's KV cache manager.
    block
        Tokens per block.
    """

    def __init__(self, manager: Any, block: int) -> None:
        self._manager, self._pool, self._block = manager, manager.block_pool, block
        # Else a block has several hashes.
        self._plain = getattr(self._pool, "hash_block_size", block) == block
        self._known: dict[str, int] = {}
        self._guess = self._found = self._held = 0  # blocks, of the last looked at
        self._turn = 0

    def of_running(self, request: Any) -> int:
        """Tokens of one in memory that others hold too, when it was last looked at."""
        known = self._known.get(request.request_id)
        return self._look(request) if known is None else known

    def left(self, request: Any) -> None:
        """Forget one that left memory."""
        self._known.pop(request.request_id, None)

    def look_again(self, rows: Any, running: Sequence[Any]) -> None:
        """Look at the next few who run, whose ``rows`` stand in the same order."""
        shared = rows["shared"]
        for _ in range(min(AGAIN, len(running))):
            self._turn = self._turn + 1 if self._turn + 1 < len(running) else 0
            shared[self._turn] = self._look(running[self._turn])

    def look_ahead(self, rows: Any, queue: Sequence[Any], usual: int) -> None:
        """Fill ``shared`` and ``cached`` of those who wait, whose ``rows`` are in their order.

        Those of ``queue`` are looked up, the others taken to have as much on average; where none
        can be looked up, what is ``usual``.
        """
        looked = min(len(queue), rows.size) if self._plain else 0
        for at, request in enumerate(queue[:looked]):
            rows["cached"][at], rows["shared"][at] = self.of_waiting(request)
        rest = rows[looked:]
        for name in ("shared", "cached"):
            mean = int(rows[name][:looked].mean()) if looked else usual
            rest[name] = (rest["prompt"] - 1).clip(max=mean)

    def of_waiting(self, request: Any) -> tuple[int, int]:
        """Tokens of one that waits that the cache has, and of these, those that somebody holds."""
        if getattr(request, "skip_reading_prefix_cache", False):
            return 0, 0
        hashes, groups, find = request.block_hashes, [0], self._pool.get_cached_block
        # The last token is computed in any case, and its block with it.
        many = min((request.num_tokens - 1) // self._block, len(hashes))

        def found(at: int) -> bool:
            return find(hashes[at], groups) is not None

        def held(at: int) -> bool:
            blocks = find(hashes[at], groups)
            return blocks is not None and blocks[0].ref_cnt > 0

        self._held = leading(held, many, self._held)
        self._found = leading(found, many, max(self._found, self._held))
        return self._found * self._block, min(self._held, self._found) * self._block

    def _look(self, request: Any) -> int:
        groups = self._manager.get_blocks(request.request_id).blocks
        total = 0
        for blocks in groups:
            self._guess = leading(
                lambda at, blocks=blocks: blocks[at].ref_cnt > 1,  # type: ignore[misc]
                len(blocks),
                self._guess,
            )
            total += self._guess
        here = request.num_prompt_tokens + request.num_output_tokens
        shared = min(total * self._block // max(len(groups), 1), here)
        self._known[request.request_id] = shared
        return int(shared)
