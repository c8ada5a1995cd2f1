"""Random systems and starts for hypothesis, and how to hand them to the references."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from kvsteady.model import Pace, State, System
from kvsteady.workload import Workload
from reference.integer import AtRandom, Engine, InTurn

MOST_OUTPUT = 12


class Paced:
    """A policy that is nothing but its pace."""

    def __init__(self, rate: float, depth: float) -> None:
        self.rate, self.depth = rate, depth

    def pace(self, system: System, *, whole_requests: bool) -> Pace:  # noqa: ARG002 -- the Protocol's
        return Pace(self.rate, self.depth)


@st.composite
def workloads(draw: st.DrawFn, *, random: bool = False, most_output: int = MOST_OUTPUT) -> Workload:
    row = st.tuples(st.integers(0, 20), st.integers(1, most_output), st.integers(1, 9))
    rows = draw(st.lists(row, min_size=1, max_size=4))
    return Workload.from_counts(*zip(*rows, strict=True), random=random)


@st.composite
def systems(
    draw: st.DrawFn, *, random: bool = False, most: int = 40, most_output: int = MOST_OUTPUT
) -> System:
    """From a capacity of exactly one request to room for ``most`` of the largest."""
    load = draw(workloads(random=random, most_output=most_output))
    largest = max(p + o for p, o in zip(load.prompt.tolist(), load.output.tolist(), strict=True))
    return System(load, draw(st.integers(largest, largest * most)))


@st.composite
def fluid_starts(draw: st.DrawFn, system: System) -> State | None:
    """Nobody, or real masses in any place, up to several times what fits."""
    kind = draw(st.sampled_from(["empty", "some", "some", "whole numbers"]))
    load = system.workload
    places = [(k, i) for k, output in enumerate(load.output.tolist()) for i in range(output)]
    if kind == "empty":
        return None
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=8, unique=True))
    table = np.zeros((len(load), load.longest_output))
    fill = draw(st.sampled_from([0.2, 1.0, 3.0]))
    for k, i in chosen:
        fits = system.kv_tokens / (load.prompt[k] + i + 1) * fill / len(chosen)
        table[k, i] = fits * draw(st.integers(1, 1000)) / 1000
    return State.dense(np.ceil(table) if kind == "whole numbers" else table)


@st.composite
def whole_starts(draw: st.DrawFn, system: System) -> State | None:
    """Nobody, or whole requests in any place and queue order, several times what fits."""
    load = system.workload
    places = [(k, i) for k, output in enumerate(load.output.tolist()) for i in range(output)]
    most = max(1, 2 * system.kv_tokens // (int(load.prompt.min()) + 1))
    entry = st.tuples(st.sampled_from(places), st.integers(1, min(most, 30)))
    entries = draw(st.lists(entry, max_size=10))
    if not entries:
        return None
    entries.sort(key=lambda item: -item[0][1])
    row, age = zip(*(place for place, _ in entries), strict=True)
    return State(np.array(row), np.array(age), np.array([float(n) for _, n in entries]))


def requests_of(state: State | None) -> list[tuple[int, int]]:
    """One ``(class, age)`` per request, in the order of the state."""
    if state is None:
        return []
    triples = zip(state.row.tolist(), state.age.tolist(), state.mass.tolist(), strict=True)
    return [(k, i) for k, i, n in triples for _ in range(int(n))]


def engine_of(
    system: System,
    start: State | None = None,
    *,
    rate: Fraction | None = None,
    depth: Fraction | None = None,
    seed: int = 0,
) -> Engine:
    load = system.workload
    weights = load.tickets.tolist()
    return Engine(
        load.prompt.tolist(),
        load.output.tolist(),
        system.kv_tokens,
        AtRandom(weights, seed) if load.random else InTurn(weights),
        rate,
        depth,
        requests_of(start),
    )
