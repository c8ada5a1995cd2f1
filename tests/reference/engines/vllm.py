"""vLLM's scheduler, one request at a time, in plain Python.

After `vllm/v1/core/sched/scheduler.py` of 0.32.0, and of 0.33.0 where that decides otherwise.
What is left out: speculative decoding, LoRA, multi-modal inputs, KV connectors, streaming sessions,
pipeline parallelism. A request is a number, its prompt and its output; the memory decides about
blocks: `CountedBlocks`, or `PrefixPool` where prefixes are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from reference.engines.counted import Memory


@dataclass(frozen=True)
class Knobs:
    """The engine's options, under its names and with its defaults."""

    max_num_seqs: int = 128
    max_num_batched_tokens: int = 2048
    max_num_scheduled_tokens: int | None = None
    max_num_active_seqs: int | None = None
    long_prefill_token_threshold: int = 0
    long_prefill_token_threshold_adaptive: bool = False
    enable_chunked_prefill: bool = True
    policy: str = "fcfs"
    scheduler_reserve_full_isl: bool = True
    watermark: float = 0.0
    async_scheduling: bool = False
    version: str = "0.32.0"


@dataclass(frozen=True)
class Arrival:
    """A request, and the iteration before which it is there."""

    step: int
    prompt: int
    output: int
    priority: int = 0
    token_ids: tuple[int, ...] = ()  # prompt, then output; empty where no prefix is shared


@dataclass(frozen=True)
class Step:
    """What one iteration decided, requests by number."""

    tokens: tuple[tuple[int, int], ...]  # (request, tokens computed), in the order of scheduling
    admitted: tuple[int, ...]
    resumed: tuple[int, ...]
    preempted: tuple[int, ...]
    finished: tuple[int, ...]
    free: int  # blocks, once scheduled
    free_after: int  # blocks, once the completed are gone
    running: tuple[int, ...]  # at the end of the iteration, in order
    waiting: tuple[int, ...]


@dataclass(eq=False)
class Request:
    number: int
    prompt: int
    output: int
    priority: int
    arrival: int
    tokens: int  # prompt and generated, the token that is being computed included
    key_of: Callable[[int], int] = lambda _: 0
    computed: int = 0
    preempted: bool = False
    blocks: list[Any] = field(default_factory=list)  # the memory's
    hashed: int = 0  # the memory's

    @property
    def rank(self) -> tuple[int, int, int]:
        return (self.priority, self.arrival, self.number)

    @property
    def complete(self) -> bool:
        return self.tokens >= self.prompt + self.output


@dataclass
class Scheduler:
    knobs: Knobs
    memory: Memory
    running: list[Request] = field(default_factory=list)
    waiting: list[Request] = field(default_factory=list)
    done: list[Request] = field(default_factory=list)  # by the iteration before

    def add(self, request: Request) -> None:
        self.waiting.append(request)
        self.in_order()

    def in_order(self) -> None:
        if self.knobs.policy == "priority":
            self.waiting.sort(key=lambda request: request.rank)

    def step(self) -> Step:
        """Schedule, execute, complete; asynchronously, complete what the iteration before did."""
        before = self.done
        scheduled = self.schedule()
        finished = self.complete(before if self.knobs.async_scheduling else self.done)
        return Step(
            **scheduled,
            finished=finished,
            free_after=self.memory.free_blocks,
            running=tuple(request.number for request in self.running),
            waiting=tuple(request.number for request in self.waiting),
        )

    def schedule(self) -> dict[str, Any]:
        self.budget = self.knobs.max_num_batched_tokens
        if self.knobs.max_num_scheduled_tokens is not None:
            self.budget = min(self.budget, self.knobs.max_num_scheduled_tokens)
        self.threshold = self.longest_chunk()
        self.planned: dict[Request, int] = {}
        self.gone: list[Request] = []
        new: list[Request] = []
        back: list[Request] = []
        self.schedule_running()
        if not self.gone:
            new, back = self.admit()
        for request, tokens in self.planned.items():
            request.computed += tokens
        # Who has all its tokens computed gains one.
        sampled = [r for r in self.planned if r.computed == r.tokens]
        for request in sampled:
            request.tokens += 1
        self.done = [request for request in sampled if request.complete]
        return {
            "tokens": tuple((request.number, n) for request, n in self.planned.items()),
            "admitted": numbers(new),
            "resumed": numbers(back),
            "preempted": tuple(sorted(numbers(self.gone))),
            "free": self.memory.free_blocks,
        }

    def longest_chunk(self) -> int:
        """0 is no limit; whoever is alone has none."""
        threshold = self.knobs.long_prefill_token_threshold
        requests = len(self.running) + len(self.waiting)
        if threshold == 0 or requests <= 1:
            return 0
        if self.knobs.long_prefill_token_threshold_adaptive:
            threshold = max(threshold, self.knobs.max_num_batched_tokens // requests)
        return threshold

    def schedule_running(self) -> None:
        self.index = 0
        while self.index < len(self.running) and self.budget > 0:
            request = self.running[self.index]
            if request.complete:  # but for hearing of its last token, scheduled asynchronously
                self.index += 1
                continue
            wanted = min(self.chunk(request.tokens - request.computed), self.budget)
            if self.make_room(request, wanted):
                self.plan(request, wanted)
                self.index += 1
            elif self.knobs.version == "0.32.0":
                # The pass ends with whoever had to preempt itself, though with priorities there may
                # be more important requests behind it; 0.33.0 goes on with those.
                return

    def chunk(self, tokens: int) -> int:
        return self.threshold if 0 < self.threshold < tokens else tokens

    def plan(self, request: Request, tokens: int) -> None:
        self.planned[request] = tokens
        self.budget -= tokens

    def make_room(self, request: Request, tokens: int) -> bool:
        """Preempt until the request has its blocks; False when it was preempted itself."""
        while not self.memory.allocate(request, tokens):
            victim = self.victim()
            self.preempt(victim)
            if victim is request:
                return False
        return True

    def victim(self) -> Request:
        if self.knobs.policy == "priority":
            return max(self.running, key=lambda request: request.rank[:2])
        return self.running[-1]

    def preempt(self, victim: Request) -> None:
        place = self.running.index(victim)
        del self.running[place]
        if place < self.index:
            self.index -= 1
        self.budget += self.planned.pop(victim, 0)
        self.memory.free(victim)
        victim.preempted = True
        self.gone.append(victim)
        self.waiting.insert(0, victim)
        self.in_order()

    def admit(self) -> tuple[list[Request], list[Request]]:
        """The head of the queue while all allows it; who does not fit holds up the rest."""
        new: list[Request] = []
        back: list[Request] = []
        places = self.knobs.max_num_active_seqs or self.knobs.max_num_seqs
        while self.budget > 0 and self.waiting and len(self.running) < places:
            request = self.waiting[0]
            hits = self.memory.hits(request)
            cached = len(hits) * self.memory.block
            tokens = self.chunk(request.tokens - cached)
            if tokens > self.budget and not self.knobs.enable_chunked_prefill:
                break
            tokens = min(tokens, self.budget)
            if not self.memory.allocate(
                request,
                tokens,
                hits,
                whole=self.knobs.scheduler_reserve_full_isl,
                spare=bool(self.running),
            ):
                break
            self.waiting.pop(0)
            self.running.append(request)
            request.computed = cached
            self.plan(request, tokens)
            (back if request.preempted else new).append(request)
            request.preempted = False
        return new, back

    def complete(self, done: list[Request]) -> tuple[int, ...]:
        """Whoever has its whole output is gone, also from the queue if it was preempted since."""
        for request in done:
            self.memory.free(request)
            (self.running if request in self.running else self.waiting).remove(request)
        return tuple(sorted(numbers(done)))


def numbers(requests: Iterable[Request]) -> tuple[int, ...]:
    return tuple(request.number for request in requests)


def simulate(
    knobs: Knobs,
    memory: Memory,
    arrivals: Sequence[Arrival],
    steps: int,
    keys: Callable[[int], Callable[[int], int]] | None = None,
) -> list[Step]:
    """`arrivals` by step, numbered in their order; `keys(number)(i)`: content of block i."""
    scheduler = Scheduler(knobs, memory)
    rows = []
    number = 0
    for step in range(steps):
        while number < len(arrivals) and arrivals[number].step <= step:
            a = arrivals[number]
            request = Request(number, a.prompt, a.output, a.priority, a.step, a.prompt)
            if keys is not None:
                request.key_of = keys(number)
            scheduler.add(request)
            number += 1
        rows.append(scheduler.step())
    return rows
