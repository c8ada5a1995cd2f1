"""vLLM's KV blocks with prefix caching, one block at a time, in plain Python.

After vLLM 0.32.0, one group of full-attention layers (`vllm/v1/core`): `block_pool.py`,
`kv_cache_manager.py` (`get_computed_blocks`, `allocate_slots`, `free`) and
`single_type_kv_cache_manager.py`. What vLLM hashes is a key here: equal keys are equal content
after an equal prefix.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

KeyOf = Callable[[int], int]


@dataclass(eq=False)
class Block:
    users: int = 0
    key: int | None = None


@dataclass(eq=False)
class Cached:
    """A request as the block pool sees it: `key_of(i)` is the content of its block i, once full."""

    tokens: int
    key_of: KeyOf
    computed: int = 0  # tokens whose KV is in memory
    blocks: list[Block] = field(default_factory=list)
    hashed: int = 0  # of its blocks, how many are in the cache under their keys


class PrefixPool:
    """`blocks` counts the usable ones: vLLM's `num_gpu_blocks` less its null block."""

    def __init__(self, blocks: int, block: int, *, watermark: float = 0.0) -> None:
        self.block = block
        # The front is taken first. Blocks without a key stand there, then the longest unused.
        self.free_queue: deque[Block] = deque(Block() for _ in range(blocks))
        self.cache: dict[int, list[Block]] = {}  # equal content may be held twice: oldest first
        self.watermark = int(watermark * (blocks + 1))

    @property
    def free_blocks(self) -> int:
        return len(self.free_queue)

    def hits(self, request: Cached) -> list[Block]:
        """The cached blocks that the request begins with; its last token is always computed."""
        found: list[Block] = []
        while len(found) < (request.tokens - 1) // self.block:
            held = self.cache.get(request.key_of(len(found)))
            if not held:
                break
            found.append(held[0])
        return found

    def need(self, request: Cached, tokens: int, hits: list[Block]) -> int:
        """Blocks that leave the free queue when the request is to hold `tokens`."""
        fresh = max(-(-tokens // self.block) - len(request.blocks) - len(hits), 0)
        return fresh + sum(block.users == 0 for block in hits)

    def allocate(
        self,
        request: Cached,
        new_tokens: int,
        hits: list[Block] | None = None,
        *,
        whole: bool = False,
        spare: bool = False,
    ) -> bool:
        """Give the request room for `new_tokens` more than it has and hits, or change nothing.

        `whole` asks for room for all its tokens before it may start with a chunk, `spare` for the
        watermark beside it. All that is full after the step is in the cache from now on.
        """
        hits = hits or []
        after = request.computed + len(hits) * self.block + new_tokens
        room = self.free_blocks - (self.watermark if spare else 0)
        if whole and self.need(request, request.tokens, hits) > room:
            return False
        if self.need(request, after, hits) > room:
            return False
        for block in hits:
            if block.users == 0:
                self.free_queue.remove(block)
            block.users += 1
        request.blocks += hits
        request.hashed += len(hits)
        while len(request.blocks) * self.block < after:
            request.blocks.append(self.take())
        for i in range(request.hashed, min(after, request.tokens) // self.block):
            block = request.blocks[i]
            block.key = request.key_of(i)
            self.cache.setdefault(block.key, []).append(block)
            request.hashed = i + 1
        return True

    def take(self) -> Block:
        block = self.free_queue.popleft()
        if block.key is not None:
            held = self.cache[block.key]
            held.remove(block)
            if not held:
                del self.cache[block.key]
            block.key = None
        block.users = 1
        return block

    def free(self, request: Cached) -> None:
        """Its end goes first, so that of one request the tail is evicted before the head."""
        unkeyed, keyed = [], []
        for block in reversed(request.blocks):
            block.users -= 1
            if block.users == 0:
                (unkeyed if block.key is None else keyed).append(block)
        self.free_queue.extendleft(reversed(unkeyed))
        self.free_queue.extend(keyed)
        request.blocks, request.hashed, request.computed = [], 0, 0
