"""Runs of vLLM to compare: what is asked of it, and what the kernel decides, step by step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.integrity import check_integrity
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import DECODING, HELD, LEAVING, PREFILLING
from kvsteady.simulate.state import RUNNING, WAITING
from reference.engines.counted import CountedBlocks, Memory
from reference.engines.prefix import PrefixPool
from reference.engines.vllm import Arrival, Knobs, Step, simulate
from stepping import UnitTime

RECORDING = Path(__file__).parent / "simulate" / "data" / "vllm_0_32_decisions.json"


@dataclass(frozen=True)
class Case:
    """An engine with its options and memory, and who comes when."""

    knobs: Knobs
    blocks: int
    block: int
    arrivals: tuple[Arrival, ...]
    prefix_caching: bool = False
    prompts_alone: ClassVar[bool] = False

    def plain_memory(self) -> Memory:
        kind = PrefixPool if self.prefix_caching else CountedBlocks
        return kind(self.blocks, self.block, watermark=self.knobs.watermark)


class PromptsAlone(Case):
    """The kernel is told of prompts alone what others may share, as most traces tell."""

    prompts_alone = True


def drawn(seed: int, **fixed: Any) -> Case:
    """A random case: lengths from a few tokens to hundreds, memory from starved to ample."""
    draw = random.Random(seed)
    block = draw.choice([1, 1, 16, 16, 8, 5, 32])
    prompts = draw.choice([(1, 16), (1, 64), (20, 200), (100, 600)])
    outputs = draw.choice([(1, 8), (1, 60), (30, 200)])
    largest = -(-(prompts[1] + outputs[1] - 1) // block)
    seqs = draw.choice([1, 3, 8, 32, 128, 1024])
    chunked = draw.random() < 0.75
    # Without chunks vLLM wants a budget for the longest request that the model could serve.
    budget = max(seqs, draw.choice([16, 64, 256, 2048, 10_000] if chunked else [4096, 10_000]))
    knobs = Knobs(
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        max_num_scheduled_tokens=(
            max(1, int(budget * draw.random())) if chunked and draw.random() < 0.25 else None
        ),
        max_num_active_seqs=draw.choice([None, None, max(1, seqs // 2)]),
        long_prefill_token_threshold=draw.choice([0, 0, 8, 50]),
        long_prefill_token_threshold_adaptive=draw.random() < 0.3,
        enable_chunked_prefill=chunked,
        policy=draw.choice(["fcfs", "priority"]),
        scheduler_reserve_full_isl=draw.random() < 0.6,
        watermark=draw.choice([0, 0, 0.02, 0.1, 0.3]),
        **fixed,
    )
    blocks = int(largest * draw.choice([1, 1.2, 2, 3, 5, 10, 40]))
    return Case(knobs, blocks, block, tuple(_coming(draw, prompts, outputs)))


def drawn_sharing(seed: int, **fixed: Any) -> Case:
    """A random case with a prefix cache, whose requests repeat and continue each other."""
    plain = drawn(seed, **fixed)
    draw = random.Random(-1 - seed)
    unit = draw.choice([1, plain.block, 3 * plain.block])
    texts = [[draw.randrange(1000) for _ in range(80 * unit)] for _ in range(draw.randint(1, 5))]
    asked: list[Arrival] = []
    for arrival in plain.arrivals:
        text = list(draw.choice(texts))
        if asked and draw.random() < 0.3:  # the next turn of a conversation, or the same again
            text = list(draw.choice(asked).token_ids)
        shared = text[: draw.choice([0, unit, 2 * unit, 5 * unit, len(text)])]
        tokens = shared[: arrival.prompt + arrival.output]
        while len(tokens) < arrival.prompt + arrival.output:
            tokens.append(draw.randrange(1000))
        asked.append(replace(arrival, token_ids=tuple(tokens)))
    return replace(plain, arrivals=tuple(asked), prefix_caching=True)


def cases_to_record() -> list[Case]:
    """A few small cases that meet each option: `engines/vllm/record.py` keeps what vLLM decides."""
    draw = random.Random(5)
    coming = tuple(
        Arrival(
            draw.randrange(60),
            draw.randint(2, 60),
            draw.randint(1, 40),
            draw.randrange(3),
            tuple(draw.choice((11, 22)) * 100 + i // 24 for i in range(100)),
        )
        for _ in range(32)
    )
    coming = tuple(
        replace(arrival, token_ids=arrival.token_ids[: arrival.prompt + arrival.output])
        for arrival in sorted(coming, key=lambda arrival: arrival.step)
    )
    small = {"max_num_seqs": 12, "max_num_batched_tokens": 48}
    return [
        Case(Knobs(), 240, 1, coming),
        Case(Knobs(**small, async_scheduling=True), 40, 8, coming),
        Case(Knobs(**small, policy="priority", max_num_scheduled_tokens=20), 36, 7, coming),
        Case(Knobs(**small, long_prefill_token_threshold=9, watermark=0.2), 20, 16, coming),
        Case(Knobs(**small, scheduler_reserve_full_isl=False), 50, 4, coming, prefix_caching=True),
        Case(
            Knobs(**small, policy="priority", async_scheduling=True),
            30,
            5,
            coming,
            prefix_caching=True,
        ),
    ]


def keys_of(case: Case) -> list[list[int]]:
    """A key for each full block of each request: equal where it and all before it are equal."""
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    keys = []
    for arrival in case.arrivals:
        key, own = 0, []
        for end in range(case.block, len(arrival.token_ids) + 1, case.block):
            content = (key, arrival.token_ids[end - case.block : end])
            key = known.setdefault(content, len(known) + 1)
            own.append(key)
        keys.append(own)
    return keys


def plain_steps(case: Case, steps: int) -> list[Step]:
    """What the plain reference decides."""
    keys = keys_of(case)
    memory = case.plain_memory()
    return simulate(
        case.knobs, memory, case.arrivals, steps, lambda number: keys[number].__getitem__
    )


def _coming(
    draw: random.Random, prompts: tuple[int, int], outputs: tuple[int, int]
) -> Iterator[Arrival]:
    rate = draw.choice([0.05, 0.5, 2, 10, 50])
    priorities = draw.choice([0, 1, 3])
    now = 0.0
    for _ in range(draw.choice([20, 100, 300])):
        yield Arrival(
            int(now), draw.randint(*prompts), draw.randint(*outputs), draw.randint(0, priorities)
        )
        now += draw.expovariate(rate) if draw.random() < 0.9 else 0


def feed_of(case: Case, slack: int = 0) -> Feed:
    rows = arrivals(len(case.arrivals))
    rows["id"] = np.arange(len(rows))
    for name, field in (("time", "step"), ("prompt", "prompt"), ("output", "output")):
        rows[name] = [getattr(arrival, field) for arrival in case.arrivals]
    rows["priority"] = [arrival.priority for arrival in case.arrivals]
    rows["limit"] = rows["output"] + slack
    shared: dict[str, Any] = {}
    if case.prefix_caching:
        keys = keys_of(case)
        if case.prompts_alone:
            keys = [
                own[: a.prompt // case.block] for own, a in zip(keys, case.arrivals, strict=True)
            ]
        rows["key_count"] = [len(own) for own in keys]
        rows["keys"] = np.cumsum(rows["key_count"]) - rows["key_count"]
        flat = np.array([key for own in keys for key in own] or [0], dtype=np.int64)
        shared = {"keys": flat, "key_tokens": case.block}
    return Feed(
        iter([rows]),
        int(rows["output"].max()),
        int(rows["prompt"].max()),
        len(rows),
        **shared,
    )


def machine_of(case: Case, slack: int = 0, **options: Any) -> Machine:
    engine = Vllm(
        block_size=case.block, enable_prefix_caching=case.prefix_caching, **asdict(case.knobs)
    )
    return Machine(engine, case.blocks * case.block, UnitTime(), feed_of(case, slack), **options)


def kernel_steps(case: Case, steps: int, *, check: bool = False, **options: Any) -> list[Step]:
    """What the kernel decides; a second without anybody is an iteration that does nothing."""
    return list(islice(_steps(case, check, **options), steps))


def _steps(case: Case, check: bool, **options: Any) -> Iterator[Step]:
    machine = machine_of(case, **options)
    watch = Watch(machine)
    free, done = case.blocks, 0
    while True:
        late = case.knobs.async_scheduling
        idle = Step((), (), (), (), (), 0 if late else free, free, (), ())
        step = watch.step()
        if step is None:
            yield from repeat(idle)
        yield from repeat(idle, round(float(machine.clock["now"])) - 1 - done)
        if check:
            check_integrity(machine)
        yield step
        free, done = step.free_after, round(float(machine.clock["now"]))


class Watch:
    """`stepping.step`, but fast, and with all that `Step` tells. `tokens` are by request here."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.running: set[int] = set()
        self.known: set[int] = set()
        self.times: Counter[int] = Counter()  # that each was preempted

    def step(self) -> Step | None:
        machine = self.machine
        machine.flush()
        iteration = int(machine.clock["iteration"])
        machine.run(1)
        state, clock = machine.state, machine.clock
        if int(clock["iteration"]) == iteration:
            return None
        rows = state.requests
        ids, after = rows["id"].tolist(), rows["after"].tolist()
        at, young = rows["state"].tolist(), rows["young"].tolist()
        running = _walk(state.lists[RUNNING], after)
        gone = state.outbox[: clock["out"]]
        finished = dict(zip(gone["id"].tolist(), gone["preemptions"].tolist(), strict=True))
        tokens = {ids[c["slot"]]: int(c["tokens"]) for c in state.chunks[: int(clock["chunks"])]}
        decoded = {ids[slot] for slot in running if at[slot] == DECODING and not young[slot]}
        # Whoever got its last token: gone, or leaving where the engine has yet to hear of it.
        last = {ids[slot] for slot in running if at[slot] == LEAVING}
        decoded |= last if clock["late"] else finished.keys()
        tokens |= dict.fromkeys(decoded - tokens.keys(), 1)
        names = [ids[slot] for slot in running]
        now = set(names)
        assert {at[slot] for slot in running} <= {PREFILLING, DECODING, HELD, LEAVING}
        entered = (now | finished.keys()) - self.running
        # Asynchronously, one may be preempted before the engine hears that it had completed.
        preempted = self.running - now - finished.keys()
        preempted |= {i for i, times in finished.items() if times > self.times[i]}
        self.times.update(preempted)
        step = Step(
            tokens=tuple(sorted(tokens.items())),
            admitted=tuple(sorted(entered - self.known)),
            resumed=tuple(sorted(entered & self.known)),
            preempted=tuple(sorted(preempted)),
            finished=tuple(sorted(finished)),
            free=0 if clock["late"] else int(clock["least_free"]),
            free_after=int(clock["free"]),
            running=tuple(names),
            waiting=tuple(ids[slot] for slot in _walk(state.lists[WAITING], after)),
        )
        self.running = now
        self.known |= now
        return step


def _walk(row: Any, after: list[int]) -> list[int]:
    slots, slot = [], int(row["first"])
    while slot >= 0:
        slots.append(slot)
        slot = after[slot]
    return slots


def by_request(case: Case, step: Step) -> Step:
    """The same step as the kernel shows it: sets are sorted, tokens are by request.

    Scheduled asynchronously, memory is counted only once the iteration before is over.
    """
    return Step(
        tuple(sorted(step.tokens)),
        tuple(sorted(step.admitted)),
        tuple(sorted(step.resumed)),
        step.preempted,
        step.finished,
        0 if case.knobs.async_scheduling else step.free,
        step.free_after,
        step.running,
        step.waiting,
    )
