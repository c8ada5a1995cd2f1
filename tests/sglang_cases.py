"""Random workloads for SGLang's scheduler, and the same steps from whoever plays them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Protocol

from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.radix import Radix
from reference.engines.sglang import Arrival, Knobs, OutOfMemoryError, Step
from stepping import UnitTime, feed_of, step


class Player(Protocol):
    """The real engine, or its plain reference."""

    knobs: Knobs

    def add(self, arrival: Arrival) -> None: ...

    def step(self) -> Step: ...


def case(seed: int, requests: int = 300) -> tuple[Knobs, list[Arrival]]:
    """Options and requests: memory from starved to ample, all at once or over time."""
    rng = random.Random(seed)
    page = rng.choice([1, 1, 2, 4, 16])
    starved = rng.random() < 0.5  # long outputs that nothing is reserved for
    prompts = rng.choice([3, 8]) if starved else rng.choice([3, 8, 30, 100])
    outputs = rng.choice([60, 100, 160]) if starved else rng.choice([4, 30, 60])
    slack = rng.choice([0, 1, outputs])
    gap = rng.choice([0, 0.05, 0.3]) if starved else rng.choice([0, 0.05, 0.3, 1])
    arrivals, when = [], 0.0
    for _ in range(requests):
        prompt, output = rng.randint(1, prompts), rng.randint(1, outputs)
        arrivals.append(Arrival(int(when), prompt, output, output + rng.randint(0, slack)))
        when += rng.expovariate(1 / gap) if gap else 0.0
    largest = max(-(-(a.prompt + a.max_new) // page) + 2 for a in arrivals)
    pages = int(largest * (rng.choice([2, 4, 8]) if starved else rng.choice([1, 1.5, 3, 8, 20])))
    knobs = Knobs(
        tokens=pages * page,
        page_size=page,
        max_running_requests=256 if starved else rng.choice([3, 16, 256]),
        max_prefill_tokens=rng.choice([16384, 16384, 64, 300]),
        chunked_prefill_size=rng.choice([-1, 8192, 300, 320, 512]),
        enable_mixed_chunk=rng.random() < 0.5,
        prefill_max_requests=rng.choice([None, None, 1, 4, 10]),
        prefill_decode_interval=rng.choice([0, 0, 1, 5]),
        prefill_decode_interval_min_bs=rng.choice([0, 0, 4]),
        schedule_conservativeness=rng.choice([0.3, 0.1, 0.0] if starved else [1.0, 1.0, 0.3, 1.7]),
        init_new_token_ratio=rng.choice([0.7, 0.7, 0.01, 1.0]),
    )
    return knobs, arrivals


def played(player: Player, arrivals: list[Arrival], iterations: int) -> Iterator[Step]:
    """Steps of an engine; those with nobody there are left out, and while idle it spins."""
    coming = iter(arrivals)
    following = next(coming, None)
    for iteration in range(iterations):
        while following is not None and following.step <= iteration:
            player.add(following)
            following = next(coming, None)
        try:
            taken = player.step()
        except OutOfMemoryError:
            return
        if not (taken.kind == "idle" and taken.nobody):
            yield taken
            continue
        for _ in range(player.knobs.prefill_decode_interval):
            player.step()


def engine_of(knobs: Knobs) -> Sglang:
    return Sglang(**{field.name: getattr(knobs, field.name) for field in fields(Sglang)})


def machine_of(knobs: Knobs, arrivals: list[Arrival]) -> Machine:
    rows = [
        {"time": float(a.step), "prompt": a.prompt, "output": a.output, "limit": a.max_new}
        for a in arrivals
    ]
    return Machine(engine_of(knobs), knobs.tokens, UnitTime(), feed_of(rows))


def decided(taken: Step) -> dict[str, Any]:
    """What a step decided, comparable with the kernel's."""
    return {
        "tokens": dict(taken.tokens),
        "preempted": set(taken.retracted) | set(taken.aborted),
        "finished": set(taken.finished),
        "free": taken.free,
        "evictable": taken.evictable,
        "ratio": taken.ratio,
        "running": list(taken.running),
        "waiting": list(taken.waiting),
    }


def kernel_decided(machine: Machine, chunked: int | None) -> dict[str, Any] | None:
    """The same of the kernel's next iteration."""
    taken = step(machine)
    if taken is None:
        return None
    block, idle = int(machine.clock["block"]), 0
    if isinstance(machine.memory, Radix):
        idle = int(machine.memory.book["idle"])
    return {
        "tokens": taken.tokens,
        "preempted": taken.preempted,
        "finished": taken.finished,
        "free": (taken.free - idle) * block,
        "evictable": idle * block,
        "ratio": float(machine.habits.memo["ratio"]),
        "running": [number for number in taken.running if number != chunked],
        "waiting": taken.waiting,
    }
