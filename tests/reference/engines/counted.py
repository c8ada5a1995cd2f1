"""KV blocks that nobody shares, and what a plain scheduler asks of memory."""

from __future__ import annotations

from typing import Any, Protocol


class Memory(Protocol):
    block: int

    @property
    def free_blocks(self) -> int: ...
    def hits(self, request: Any) -> list[Any]: ...
    def allocate(
        self,
        request: Any,
        new_tokens: int,
        hits: list[Any] | None = None,
        *,
        whole: bool = False,
        spare: bool = False,
    ) -> bool: ...
    def free(self, request: Any) -> None: ...


class CountedBlocks:
    """Blocks that nobody shares; `blocks` counts the usable ones, without vLLM's null block."""

    def __init__(self, blocks: int, block: int, *, watermark: float = 0.0) -> None:
        self.block = block
        self.free_blocks = blocks
        self.watermark = int(watermark * (blocks + 1))

    def hits(self, _: Any) -> list[None]:
        return []

    def allocate(
        self,
        request: Any,
        new_tokens: int,
        hits: list[None] | None = None,  # noqa: ARG002 - there are none; PrefixPool has them
        *,
        whole: bool = False,
        spare: bool = False,
    ) -> bool:
        room = self.free_blocks - (self.watermark if spare else 0)
        need = self.more(request, request.computed + new_tokens)
        if max(need, self.more(request, request.tokens) if whole else 0) > room:
            return False
        request.blocks += [None] * need
        self.free_blocks -= need
        return True

    def more(self, request: Any, tokens: int) -> int:
        return max(-(-tokens // self.block) - len(request.blocks), 0)

    def free(self, request: Any) -> None:
        self.free_blocks += len(request.blocks)
        request.blocks, request.computed = [], 0
