"""Watch a machine decide, one iteration at a time, from its state before and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kvsteady.simulate import arriving
from kvsteady.simulate.integrity import check_integrity, walk
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import DECODING, FREE, WAITING
from kvsteady.simulate.state import RUNNING, State
from kvsteady.simulate.state import WAITING as QUEUE
from kvsteady.simulate.times.form import TimeForm, rows_form


class UnitTime:
    """Every iteration takes a second: an arrival at second k is there for iteration k."""

    def form(self) -> TimeForm:
        return rows_form([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Step:
    """What one iteration did; requests go by their id."""

    tokens: dict[int, int]  # computed per request
    admitted: set[int]
    preempted: set[int]
    finished: set[int]
    free: int  # blocks, after the iteration
    running: list[int] = field(default_factory=list)  # in order, after the iteration
    waiting: list[int] = field(default_factory=list)


def feed_of(requests: list[dict[str, Any]], **options: Any) -> Feed:
    """A feed of requests given as dictionaries of `ARRIVAL` fields; ids count from 0."""
    rows = arrivals(len(requests))
    for i, request in enumerate(requests):
        rows["id"][i] = i
        for name, value in request.items():
            rows[name][i] = value
    rows["limit"] = np.maximum(rows["limit"], rows["output"])
    return Feed(
        iter([rows]), int(rows["output"].max()), int(rows["prompt"].max()), len(rows), **options
    )


def present(state: State) -> Any:
    """The rows of all requests in the engine."""
    return state.requests[state.requests["state"] != FREE]


def step(machine: Machine, check: bool = True) -> Step | None:
    """Run one iteration and say what it did; None where there is nothing more to do."""
    state = machine.state
    before = {int(r["id"]): int(r["state"]) for r in present(state)}
    machine.flush()
    iteration = int(machine.clock["iteration"])
    why = machine.run(1)
    if int(machine.clock["iteration"]) == iteration:
        assert why != arriving.GO
        return None
    state, clock = machine.state, machine.clock  # the arrays may have grown
    if check:
        check_integrity(machine)
    requests = state.requests
    chunks = {
        int(requests["id"][chunk["slot"]]): int(chunk["tokens"])
        for chunk in state.chunks[: clock["chunks"]]
    }
    finished = {int(row["id"]) for row in state.outbox[: clock["out"]] if row["status"] == 0}
    after = {int(r["id"]): r for r in present(state)}
    tokens = dict(chunks)
    if clock["ticking"]:
        for name, r in after.items():
            if r["state"] == DECODING and r["young"] == 0:
                tokens[name] = 1
        for name in finished - chunks.keys():
            tokens[name] = 1
    was_running = {name for name, at in before.items() if at != WAITING}
    is_running = {name for name, r in after.items() if r["state"] != WAITING} | finished
    return Step(
        tokens=tokens,
        admitted=is_running - was_running,
        preempted=was_running - is_running,
        finished=finished,
        free=int(clock["free"]),
        running=[int(requests["id"][slot]) for slot in walk(state, RUNNING)],
        waiting=[int(requests["id"][slot]) for slot in walk(state, QUEUE)],
    )
