"""Rows kept up to date by what changes are those that reading everything anew would give."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kvsteady.admission import new_view
from kvsteady.plugins.vllm import arrivals
from kvsteady.plugins.vllm.rows import RunningRows, WaitingRows, seen
from kvsteady.plugins.vllm.sharing import leading

LONGEST = 200


@dataclass(eq=False)
class Asked:
    """What the rows read of a vLLM request."""

    request_id: str
    num_prompt_tokens: int
    max_tokens: int
    arrival: int
    priority: int = 0
    num_output_tokens: int = 0
    num_output_placeholders: int = 0
    chunks: int = 0  # iterations of prefill to come
    output: int = 0

    def __lt__(self, other: Asked) -> bool:
        return (self.priority, self.arrival) < (other.priority, other.arrival)


def when(request: Asked) -> float:
    """Its time of arrival, no whole number."""
    return request.arrival + 0.25


def row(request: Asked) -> tuple[float, ...]:
    return seen(request, LONGEST, arrived=when(request))


class Heap(list[Asked]):
    """A queue by priority, in no order that anybody may rely on."""

    def peek_request(self) -> Asked:
        return min(self)

    def __iter__(self) -> Any:
        return iter(sorted(list.__iter__(self)))


@dataclass
class Engine:
    """A few lines of an engine that does to its lists all that vLLM does."""

    draw: random.Random
    by_priority: bool
    running: list[Asked] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.view = new_view(8)
        self.waiting: Any = Heap() if self.by_priority else deque()
        self.rows = RunningRows(LONGEST, arrived=when)
        self.queue = WaitingRows(LONGEST, when, by_priority=self.by_priority)

    def arrive(self) -> None:
        request = Asked(
            f"r{self.asked}",
            self.draw.randint(1, 150),
            self.draw.randint(1, 90),
            self.asked,
            self.draw.randint(0, 3),
            chunks=self.draw.choice([0, 0, 0, 1, 3]),
        )
        request.output = self.draw.randint(1, min(request.max_tokens, 40))
        self.asked += 1
        self.waiting.append(request)
        self.queue.came(request, first=False, rows=self.view.waiting)

    def look(self) -> tuple[Any, Any]:
        """What a policy is shown."""
        if len(self.running) > self.view.running.size:
            larger = new_view(2 * len(self.running))
            larger.running[: self.view.running.size] = self.view.running
            larger.waiting[:] = self.view.waiting
            self.view = larger
        self.rows.fill(self.view, self.running)
        shown = self.queue.fill(self.view, self.waiting)
        return self.view.running[: len(self.running)].copy(), self.view.waiting[:shown].copy()

    def anew(self) -> tuple[Any, Any]:
        """The same, read from scratch."""
        return (
            np.array([row(r) for r in self.running], dtype=self.view.running.dtype),
            np.array(
                [row(r) for r in list(self.waiting)[: self.view.waiting.size]],
                dtype=self.view.waiting.dtype,
            ),
        )

    def evict(self, victim: Asked) -> None:
        self.rows.left(victim)
        self.queue.came(victim, first=True, rows=self.view.waiting)
        self.running.remove(victim)
        victim.chunks = self.draw.choice([0, 2])
        if self.by_priority:
            self.waiting.append(victim)
        else:
            self.waiting.appendleft(victim)

    def schedule(self) -> None:
        """Evict or admit, then let everybody gain a token but who is in a prefill."""
        draw = self.draw
        if draw.random() < 0.15:
            for _ in range(min(draw.randint(1, 3), len(self.running))):
                self.evict(draw.choice(self.running) if self.by_priority else self.running[-1])
            came: list[Asked] = []
        else:
            passed = 1 if draw.random() < 0.05 else 0  # the head is not ready
            came = list(self.waiting)[passed : passed + draw.randint(0, 4)]
            for request in came:
                self.waiting.remove(request)
            self.running += came
        self.queue.admitted(came, self.view.waiting)
        for request in came:
            self.rows.came(request)
        left_out = (
            set(draw.sample(self.running, 1)) if self.running and draw.random() < 0.02 else ()
        )
        prefilling = [r for r in self.running if r.chunks > 0]
        decoding = [r for r in self.running if r.chunks == 0 and r not in left_out]
        self.rows.gained(len(decoding), [r.request_id for r in prefilling])
        for request in prefilling:
            request.chunks -= 1
        for request in decoding:
            request.num_output_tokens += 1

    def hear(self) -> None:
        """Completions, and here and there an abort."""
        for request in list(self.running):
            if request.num_output_tokens >= request.output or self.draw.random() < 0.002:
                self.rows.left(request)
                self.queue.left(request)
                self.running.remove(request)
        if self.waiting and self.draw.random() < 0.05:
            request = self.draw.choice(list(self.waiting))
            self.queue.left(request)
            self.waiting.remove(request)


@pytest.mark.parametrize("by_priority", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_rows_are_what_reading_anew_gives(seed: int, by_priority: bool) -> None:
    engine = Engine(random.Random(seed), by_priority)
    crowd = [2, 40, 400][seed % 3]
    for step in range(1200):
        while len(engine.waiting) < crowd and engine.draw.random() < 0.9:
            engine.arrive()
        for found, wanted in zip(engine.look(), engine.anew(), strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=f"iteration {step}")
        engine.schedule()
        engine.hear()
    assert engine.asked > 1000


def test_reading_anew_is_rare_where_everything_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(random.Random(3), by_priority=False)
    reads = []
    plain = RunningRows._read
    monkeypatch.setattr(RunningRows, "_read", lambda *a: (reads.append(1), plain(*a)))
    for _ in range(500):
        engine.arrive()
        engine.look()
        engine.schedule()
        engine.hear()
    # The first time, and after the iterations in which one was left out for no reason, 2 in 100.
    assert 1 <= len(reads) < 40


def test_tokens_on_their_way_count_as_generated() -> None:
    request = Asked("a", 10, 5, 0, num_output_tokens=3, num_output_placeholders=1)
    assert seen(request, LONGEST)[:3] == (10, 4, 5)
    request.num_output_placeholders = 3  # drafts among them, of which no more than 5 can stay
    assert seen(request, LONGEST)[:3] == (10, 5, 5)
    assert seen(Asked("b", 190, 50, 0), LONGEST)[:3] == (190, 0, 10)  # the model is no longer


def test_the_time_of_arrival_is_brought_to_the_plug_ins_clock_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, ours = iter([1000.0, 1004.0, 5.0]), iter([50.0, 54.5, 60.0, 70.0])
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(time=lambda: next(wall)))
    known = arrivals.Arrivals(lambda: next(ours))
    asked = [
        SimpleNamespace(request_id=name, arrival_time=came)
        for name, came in (("a", 998.5), ("ahead", 1007.0), ("set back", 1009.0), ("untold", 0.0))
    ]
    for request in asked[:3]:
        known.came(request)
    # 1.5 s earlier; by a clock that is 3 s ahead; before this one was set back: none yet to come.
    assert [known.of(request) for request in asked] == [48.5, 54.5, 60.0, 70.0]
    assert [known.of(request) for request in asked] == [48.5, 54.5, 60.0, 70.0]
    for request in asked:
        known.left(request)
    assert not known._came


def test_what_a_request_shares_are_its_leading_blocks_that_others_hold() -> None:
    shared, looked = [True] * 5 + [False] * 4, []

    def holds(at: int) -> bool:
        looked.append(at)
        return shared[at]

    for guess in range(12):
        assert leading(holds, 9, guess) == 5
    looked.clear()
    assert leading(holds, 9, 5) == 5
    assert sorted(looked) == [4, 5]
    assert leading(holds, 5, 0) == leading(holds, 5, 9) == 5
    assert leading(holds, 0) == 0
