"""TensorRT-LLM's capacity and micro-batch schedulers, one request at a time.

After `tensorrt_llm/_torch/pyexecutor/scheduler/scheduler.py` at commit 002f3cc (the Python mirror
of `cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp` and `microBatchScheduler.cpp`), with
`getNeededBlocksOneStep` and `getRemainingBlocksToCompletion` of `kvCacheManager.cpp` and
`LlmRequest::pause`. One KV cache, one beam, no drafts, no block reuse, no overlap of iterations,
one pipeline stage.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(eq=False)
class Request:
    name: int
    prompt_len: int
    max_new_tokens: int  # what it asks for, which the engine knows
    output: int  # where it will stop
    position: int = 0  # prompt tokens computed (context_current_position)
    generated: int = 0  # since the last pause
    blocks: int = 0  # 0: no sequence in the KV cache manager

    @property
    def generating(self) -> bool:
        return self.generated > 0

    @property
    def started(self) -> bool:
        return self.position > 0

    @property
    def remaining(self) -> int:
        return self.prompt_len - self.position


class Step(NamedTuple):
    tokens: dict[int, int]
    admitted: list[int]
    paused: list[int]
    finished: list[int]
    free: int


@dataclass
class TensorRtLlm:
    num_blocks: int
    policy: str = "GUARANTEED_NO_EVICT"
    tokens_per_block: int = 32
    max_batch_size: int = 2048
    max_num_tokens: int = 8192
    enable_chunked_prefill: bool = False
    queue: deque[Request] = field(default_factory=deque)
    active: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = self.num_blocks

    def add(self, name: int, prompt: int, output: int, max_new_tokens: int | None = None) -> None:
        self.queue.append(Request(name, prompt, max_new_tokens or output, output))

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.tokens_per_block)

    def step(self) -> Step | None:
        while self.queue and len(self.active) < self.max_batch_size:
            self.active.append(self.queue.popleft())
        if not self.active:
            return None
        if self.policy == "MAX_UTILIZATION":
            fitting, paused = self.max_utilization()
        else:
            fitting, paused = self.no_evict(static=self.policy == "STATIC_BATCH"), []
        batch = self.micro_batch(fitting)
        for request in paused:
            self.free += request.blocks
            request.blocks = request.position = 0
            request.prompt_len += request.generated
            request.max_new_tokens -= request.generated
            request.output -= request.generated
            request.generated = 0
        admitted = [r.name for r in batch if not r.started]
        finished = [r.name for r, tokens in batch.items() if self.run(r, tokens)]
        tokens = {r.name: n for r, n in batch.items()}
        return Step(tokens, admitted, [r.name for r in paused], finished, self.free)

    # Who may run: the capacity scheduler.

    def remaining_blocks_to_completion(self, request: Request) -> int:
        window = self.num_blocks * self.tokens_per_block
        total = self.blocks(min(request.prompt_len + request.max_new_tokens, window))
        return total - request.blocks

    def needed_blocks_one_step(self, request: Request) -> int:
        if not request.started:
            return self.blocks(request.prompt_len)
        if not request.generating:
            return 0
        tokens = request.prompt_len + request.generated - 1  # in the cache
        to_add = min(1, request.max_new_tokens - request.generated + 1)
        return self.blocks(tokens + to_add) - self.blocks(tokens)

    def no_evict(self, *, static: bool) -> list[Request]:
        available = self.free
        scheduled, pending = [], []
        for request in self.active:
            if request.generating:
                scheduled.append(request)
                available -= self.remaining_blocks_to_completion(request)
            else:
                pending.append(request)
        if static and scheduled:
            return scheduled
        for request in pending:
            needed = self.remaining_blocks_to_completion(request)
            if needed > available:
                break
            scheduled.append(request)
            available -= needed
        return scheduled

    def max_utilization(self) -> tuple[list[Request], list[Request]]:
        scheduled: list[Request] = []
        paused: list[Request] = []
        place, end = 0, len(self.active)
        free, taken = self.free, 0
        while place < end:
            request = self.active[place]
            needed = self.needed_blocks_one_step(request)
            if taken + needed <= free:
                taken += needed
                scheduled.append(request)
                place += 1
                continue
            started = [i for i in range(place, end) if self.active[i].started]
            if not started:
                break
            end = started[-1]
            paused.append(self.active[end])
            free += self.active[end].blocks
        return scheduled, paused

    # Who of them runs now, and how many tokens: the micro-batch scheduler.

    def micro_batch(self, fitting: list[Request]) -> dict[Request, int]:
        batch: dict[Request, int] = {}
        contexts: list[Request] = []
        tokens = 0
        for request in fitting:
            if request.generating:
                if tokens + 1 > self.max_num_tokens:
                    break
                batch[request] = 1
                tokens += 1
            elif self.enable_chunked_prefill:
                contexts.append(request)
            else:
                if tokens + request.prompt_len > self.max_num_tokens:
                    break
                batch[request] = request.prompt_len
                tokens += request.prompt_len
            if len(batch) + len(contexts) >= self.max_batch_size:
                break
        capacity = self.max_num_tokens - tokens
        for request in contexts:  # first come, first served
            size = min(request.remaining, capacity)
            if size < request.remaining:
                size = size // self.tokens_per_block * self.tokens_per_block
            capacity -= size
            if size > 0:
                batch[request] = size
        return batch

    def run(self, request: Request, tokens: int) -> bool:
        """Blocks, the forward pass and a token; whether the request is complete with it."""
        if request.generating:
            kv_tokens = request.prompt_len + request.generated
        else:
            kv_tokens = request.prompt_len  # all its blocks come with the first chunk
            request.position += tokens
        self.free -= self.blocks(kv_tokens) - request.blocks
        request.blocks = self.blocks(kv_tokens)
        assert self.free >= 0
        if request.remaining == 0:
            request.generated += 1
        if request.generated < request.output:
            return False
        self.free += request.blocks
        self.active.remove(request)
        return True

    def check_integrity(self) -> None:
        assert self.free + sum(r.blocks for r in self.active) == self.num_blocks
