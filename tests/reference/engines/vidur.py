"""Vidur's two paged schedulers, one request at a time: what Vidur 7d47513 decides.

Written from reading ``vidur/scheduler/replica_scheduler/`` (``vllm_replica_scheduler.py``,
``sarathi_replica_scheduler.py``), ``entities/request.py`` and ``events/`` at that commit; runs of
that code are in ``tests/simulate/data/vidur_decisions.json``. One pipeline stage.

A request counts the tokens it has ``processed``: when the prefill ends the first generated token is
among them, though its KV is written by the next decode. So a decode writes token ``processed``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Request:
    number: int
    arrived: float
    prompt: int  # grows by the generated tokens when the request is evicted
    output: int
    processed: int = 0
    prefilled: bool = False
    blocks: int = 0
    restarts: int = 0

    @property
    def finished(self) -> bool:
        return self.processed == self.prompt + self.output

    def execute(self, tokens: int) -> None:
        self.processed += tokens
        if self.processed == self.prompt:
            self.prefilled = True
            self.processed += 1

    def restart(self) -> None:
        """What is processed becomes the prompt: also of a prefill that was cut short (sic)."""
        self.prompt, self.output = self.processed, self.prompt + self.output - self.processed
        self.processed, self.prefilled, self.blocks = 0, False, 0
        self.restarts += 1


@dataclass
class Decision:
    """What one call of the scheduler did; blocks are counted after it, before execution."""

    batch: list[tuple[Request, int]] = field(default_factory=list)
    preempted: list[Request] = field(default_factory=list)
    free: int = 0


@dataclass
class Vidur:
    num_blocks: int
    block_size: int = 16
    batch_size_cap: int = 128
    watermark_blocks_fraction: float = 0.01
    free: int = field(init=False)
    waiting: deque[Request] = field(default_factory=deque)
    idle: list[Request] = field(default_factory=list)  # in memory, not in a batch

    def __post_init__(self) -> None:
        self.free = self.num_blocks

    @property
    def held(self) -> int:
        return self.num_blocks - self.free

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def fits(self, request: Request) -> bool:
        left = self.free - self.blocks(request.prompt)
        return left >= int(self.watermark_blocks_fraction * self.num_blocks)

    def admit(self, decision: Decision, tokens: int) -> None:
        request = self.waiting.popleft()
        request.blocks = self.blocks(request.prompt)
        self.free -= request.blocks
        decision.batch.append((request, tokens))

    def preempt(self, request: Request, decision: Decision) -> None:
        self.free += request.blocks
        request.restart()
        self.waiting.appendleft(request)
        decision.preempted.append(request)

    def decode(self, request: Request, others: list[Request], decision: Decision) -> None:
        """Evict the last of ``others`` until a block is free, at worst the request itself."""
        while self.free == 0:
            if not others:
                self.preempt(request, decision)
                return
            self.preempt(others.pop(), decision)
        if request.processed > request.blocks * self.block_size:
            request.blocks += 1
            self.free -= 1
        decision.batch.append((request, 1))

    def full(self, decision: Decision) -> bool:
        return len(self.idle) + len(decision.batch) == self.batch_size_cap

    def schedule(self) -> Decision:
        decision = Decision()
        self.fill(decision)
        decision.free = self.free
        return decision

    def fill(self, decision: Decision) -> None:
        raise NotImplementedError

    def execute(self, decision: Decision) -> list[Request]:
        finished = []
        for request, tokens in decision.batch:
            request.execute(tokens)
            if request.finished:
                self.free += request.blocks
                finished.append(request)
            else:
                self.idle.append(request)
        return finished


@dataclass
class VidurVllm(Vidur):
    max_tokens_in_batch: int = 4096

    def fill(self, decision: Decision) -> None:
        longest = 0
        while self.waiting and self.fits(self.waiting[0]) and not self.full(decision):
            longest = max(longest, self.waiting[0].prompt)
            if (len(decision.batch) + 1) * longest > self.max_tokens_in_batch:
                break
            self.admit(decision, self.waiting[0].prompt)
        if decision.batch:
            return
        self.idle.sort(key=lambda request: request.arrived)
        while self.idle:
            self.decode(self.idle.pop(0), self.idle, decision)


@dataclass
class VidurSarathi(Vidur):
    chunk_size: int = 512

    def fill(self, decision: Decision) -> None:
        unfinished = []
        while self.idle:
            request = self.idle.pop(0)
            if request.prefilled:
                self.decode(request, self.idle, decision)
            else:
                unfinished.append(request)
        budget = max(0, self.chunk_size - len(decision.batch))
        for request in unfinished:
            tokens = min(request.prompt - request.processed, budget)
            if tokens == 0:
                self.idle.append(request)
            else:
                decision.batch.append((request, tokens))
            budget -= tokens
        self.idle.sort(key=lambda request: request.arrived)
        while self.waiting and budget > 0 and not self.full(decision):
            if not self.fits(self.waiting[0]):
                break
            tokens = min(self.waiting[0].prompt, budget)
            self.admit(decision, tokens)
            budget -= tokens


Row = tuple[list[int], list[int], list[int], int]


def run(
    engine: Vidur,
    requests: Iterable[Request],
    duration: Callable[[Decision], float],
    steps: int = 10**9,
) -> list[Row]:
    """Decisions until all is done, nothing moves any more, or ``steps``; who has arrived waits.

    Rows: numbers of the batch, tokens of each, numbers evicted in order, free blocks.
    """
    arriving = deque(sorted(requests, key=lambda request: request.arrived))
    rows: list[Row] = []
    now = 0.0
    while len(rows) < steps:
        while arriving and arriving[0].arrived <= now:
            engine.waiting.append(arriving.popleft())
        decision = engine.schedule()
        if decision.batch or decision.preempted:
            rows.append(
                (
                    [request.number for request, _ in decision.batch],
                    [tokens for _, tokens in decision.batch],
                    [request.number for request in decision.preempted],
                    decision.free,
                )
            )
        if decision.batch:
            now += duration(decision)
            engine.execute(decision)
        elif arriving:
            now = max(now, arriving[0].arrived)
        else:
            break
    return rows
