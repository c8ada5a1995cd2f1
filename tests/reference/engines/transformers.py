"""Transformers 5.23.0 continuous batching, one request and one block at a time.

After `transformers/generation/continuous_batching/`: `scheduler.py` (who runs), `cache.py` and
`cache_allocators/` (blocks), `offloading_manager.py` (who is evicted), `continuous_api.py` (the
step). One full-attention allocator whose sector is a block, prompts that share no page, the
synchronous loop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple


class StuckError(RuntimeError):
    """The engine's "No requests can be scheduled and no requests can be offloaded."."""


@dataclass(eq=False)
class Request:
    name: int
    prompt: int  # tokens to prefill: the prompt, and after an eviction what was generated too
    output: int  # tokens still to generate when it was last put into the queue
    generated: int = 0  # since then
    stored: int = 0  # tokens with KV
    blocks: int = 0
    hashed: int = 0  # of these, full blocks that another request may share
    decoding: bool = False
    swapped: bool = False  # `stored` tokens are in the CPU's memory

    def tokens(self) -> int:
        """Tokens that it would compute in the next step."""
        return 1 if self.decoding else self.prompt - self.stored


class Step(NamedTuple):
    tokens: dict[int, int]  # by request, in the order of the batch
    admitted: list[int]
    evicted: list[int]  # in the order in which they return to the queue
    finished: list[int]
    free: int  # blocks free after the step, without those kept for their content
    passes: int  # times schedule_batch ran: more than once where nobody could be scheduled


@dataclass
class Transformers:
    num_blocks: int
    page_size: int
    max_batch_tokens: int
    max_requests_per_batch: int = 1024
    scheduler_type: str = "fifo"
    safety_margin: float | None = None
    allow_block_sharing: bool = True
    cpu_offload: bool = False  # to a pool in which everybody fits
    active: list[Request] = field(default_factory=list)  # in the order of admission
    waiting: deque[Request] = field(default_factory=deque)
    starved: list[tuple[Request, int]] = field(default_factory=list)
    block_new_requests: bool = False
    cached: int = 0  # full blocks of finished requests, kept for their content

    def __post_init__(self) -> None:
        if self.safety_margin is None:
            self.safety_margin = 0.15 if self.scheduler_type == "fifo" else 0.0
        self.free = self.num_blocks
        self.max_requests_per_batch = min(self.max_requests_per_batch, self.max_batch_tokens)

    def add(self, name: int, prompt: int, output: int) -> None:
        self.waiting.append(Request(name, prompt, output))

    def step(self) -> Step | None:
        """One batch, or None where nobody has anything to do."""
        before = set(self.active)
        evicted: list[int] = []
        passes = 1
        while not (batch := self.schedule()):
            if not self.one_allocation_failed:
                return None
            if not self.offload(evicted):
                raise StuckError
            passes += 1
        admitted = [r.name for r in self.active if r not in before]
        if self.starved:
            self.offload(evicted)
        finished = self.execute(batch)
        tokens = {r.name: n for r, n in batch}
        return Step(tokens, admitted, evicted, finished, self.free, passes)

    def candidates(self) -> list[Request]:
        prefilling = [r for r in self.active if not r.decoding]
        decoding = [r for r in self.active if r.decoding]
        first = decoding + prefilling if self.scheduler_type == "fifo" else prefilling + decoding
        return first + ([] if self.block_new_requests else self.waiting_candidates())

    def waiting_candidates(self) -> list[Request]:
        """The swapped and the others take turns."""
        swapped = [request for request in self.waiting if request.swapped]
        fresh = [request for request in self.waiting if not request.swapped]
        pairs = zip_longest(swapped, fresh)
        return [request for pair in pairs for request in pair if request is not None]

    def within_margin(self) -> bool:
        def enough() -> bool:
            return self.free / self.num_blocks >= self.safety_margin

        return enough() or (self.evict_cached() and enough())

    def evict_cached(self) -> bool:
        any_cached = self.cached > 0
        self.free += self.cached
        self.cached = 0
        return any_cached

    def blocks_needed(self, request: Request, tokens: int) -> int:
        return max(0, -(-(request.stored + tokens) // self.page_size) - request.blocks)

    def schedule(self) -> list[tuple[Request, int]]:
        batch: list[tuple[Request, int]] = []
        self.starved, self.one_allocation_failed = [], False
        budget, to_read = self.max_batch_tokens, self.num_blocks * self.page_size
        within_margin = self.within_margin()
        for request in self.candidates():
            if not within_margin and batch and not request.decoding:
                break
            tokens = min(request.tokens(), budget)
            if to_read < request.stored:
                continue
            blocks = self.blocks_needed(request, tokens)
            if blocks > self.free:
                self.one_allocation_failed = True
                if request in self.active:
                    self.starved.append((request, tokens))
                continue
            self.free -= blocks
            request.blocks += blocks
            budget -= tokens
            to_read -= request.stored
            batch.append((request, tokens))
            if request not in self.active:
                self.active.append(request)
                self.waiting.remove(request)
            if budget == 0 or to_read <= 0 or len(batch) >= self.max_requests_per_batch:
                break
        for request, tokens in batch:
            request.decoding = request.stored + tokens >= request.prompt
        return batch

    def offload(self, evicted: list[int]) -> bool:
        """Evict starved requests, the last first, until the others' blocks would be free."""
        something = self.evict_cached()
        needs = [self.blocks_needed(request, tokens) for request, tokens in self.starved]
        victims: list[Request] = []
        while self.starved and len(self.active) - len(victims) > 1 and sum(needs) > self.free:
            victim, _ = self.starved.pop()
            needs.pop()
            victims.append(victim)
            self.free += victim.blocks
        for victim in reversed(victims):
            self.active.remove(victim)
            left = victim.output - victim.generated
            again = Request(victim.name, victim.prompt + victim.generated, left)
            if self.cpu_offload:
                again.stored, again.swapped = victim.stored, True
            self.waiting.append(again)
            evicted.append(victim.name)
        if victims:
            self.block_new_requests = True
        return something or bool(victims)

    def execute(self, batch: list[tuple[Request, int]]) -> list[int]:
        finished = []
        for request, tokens in batch:
            request.stored += tokens
            request.swapped = False
            request.generated += request.decoding
            if request.decoding and request.generated >= request.output:
                finished.append(request.name)
                self.active.remove(request)
                self.block_new_requests = False
                self.cached += request.hashed
                self.free += request.blocks - request.hashed
            elif self.allow_block_sharing:  # the blocks that the last step fills are not hashed
                request.hashed = request.stored // self.page_size
        return finished

    def check_integrity(self) -> None:
        held = sum(r.blocks for r in self.active)
        assert self.free + self.cached + held == self.num_blocks
        assert all(r.stored <= r.blocks * self.page_size for r in self.active)
        assert all(r.blocks == 0 and (r.swapped or r.stored == 0) for r in self.waiting)
