"""Runs of Vidur's schedulers: the kernels, watched from outside, and the plain reference."""

from __future__ import annotations

from typing import Any

from kvsteady.simulate.engines.vidur_sarathi import VidurSarathi
from kvsteady.simulate.engines.vidur_vllm import VidurVllm
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times.protocol import IterationTime
from reference.engines import vidur as reference
from stepping import UnitTime, feed_of, present, step

KERNELS = {"vllm": VidurVllm, "sarathi": VidurSarathi}
REFERENCES = {"vllm": reference.VidurVllm, "sarathi": reference.VidurSarathi}

SECOND = UnitTime()

# Tokens per request, who was evicted, free blocks after scheduling.
Decision = tuple[dict[int, int], set[int], int]


def machine_of(
    kind: str,
    options: dict[str, Any],
    requests: Any,
    time: IterationTime = SECOND,
    **more: Any,
) -> Machine:
    """A machine of a recording's options; requests are (seconds, prompt, output)."""
    rest = {name: value for name, value in options.items() if name != "num_blocks"}
    engine = KERNELS[kind](**rest)
    feed = feed_of([{"time": t, "prompt": p, "output": o} for t, p, o in requests])
    return Machine(engine, options["num_blocks"] * engine.block_size, time, feed, **more)


def _preemptions(machine: Machine) -> dict[int, int]:
    here = present(machine.state)
    gone = machine.state.outbox[: machine.clock["out"]]
    return {int(row["id"]): int(row["preemptions"]) for rows in (here, gone) for row in rows}


def kernel_decisions(machine: Machine, steps: int) -> list[Decision]:
    """The iterations that did something, of so many such, or of all until nothing happens."""
    decisions: list[Decision] = []
    quiet = 0
    while len(decisions) < steps and quiet < 50:
        before = _preemptions(machine)
        done = step(machine)
        if done is None:
            break
        after = _preemptions(machine)
        evicted = {name for name, count in after.items() if count > before.get(name, 0)}
        quiet = 0 if done.tokens or evicted else quiet + 1
        if not quiet:
            decisions.append((done.tokens, evicted, int(machine.clock["least_free"])))
    return decisions


def reference_rows(
    kind: str, options: dict[str, Any], requests: Any, steps: int = 10**9
) -> tuple[list[reference.Row], list[reference.Request]]:
    """What the plain reference decides with a second per batch, and its requests after."""
    named = [reference.Request(i, *request) for i, request in enumerate(requests)]
    return reference.run(REFERENCES[kind](**options), named, lambda _: 1.0, steps), named


def decisions_of(rows: list[reference.Row]) -> list[Decision]:
    """The reference's rows as `kernel_decisions` gives them."""
    return [
        (dict(zip(names, tokens, strict=True)), set(preempted), free)
        for names, tokens, preempted, free in rows
    ]
