"""The integer model with kept tokens as plain lists of requests, and the fluid one level by level.

A request is ``(class, generated tokens)``. The queue is a list too: who was evicted stands in it as
such, ``NEW`` is somebody who was never admitted, of the class that the law's order gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from kvsteady.model import State, System
from kvsteady.model.requeue_place import Requeue
from reference.integer import AtRandom, InTurn
from reference.systems import requests_of

Request = tuple[int, int]
NEW = None


@dataclass
class Requeueing:
    prompt: list[int]
    output: list[int]
    capacity: int
    classes: InTurn | AtRandom
    place: Requeue
    rate: Fraction | None = None  # None admits greedily
    depth: Fraction | None = None
    running: list[Request] = field(default_factory=list)  # in the order of admission
    queue: list[Request | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.running.sort(key=lambda request: -request[1])  # oldest first; sorting is stable
        self.next_new = self.classes.draw()
        self.credit = Fraction(0)
        self.arrive()

    def arrive(self) -> None:
        while len(self.queue) < self.place.length:
            self.queue.append(NEW)

    def need(self, request: Request) -> int:
        return self.prompt[request[0]] + request[1] + 1

    def used(self) -> int:
        return sum(self.need(request) for request in self.running)

    def victim(self) -> int:
        if self.place.order == "admitted":
            return len(self.running) - 1
        fewest = min(age for _, age in self.running)
        return max(i for i, (_, age) in enumerate(self.running) if age == fewest)

    def step(self) -> list[int]:
        """One iteration; the numbers of a trajectory's row."""
        gone = []
        while self.used() > self.capacity:
            gone.append(self.running.pop(self.victim()))
            if self.place.place == "tail":
                self.queue.append(gone[-1])
            else:
                self.queue.insert(0, gone[-1])
        if self.rate is not None:
            self.credit = min(self.credit + self.rate, self.depth)
        fresh, resumed = [], []
        while not gone and (self.rate is None or self.credit >= 1):
            head = self.queue[0]
            request = (self.next_new, 0) if head is NEW else head
            if self.used() + self.need(request) > self.capacity:
                break
            self.queue.pop(0)
            self.running.append(request)
            (fresh if head is NEW else resumed).append(request)
            if head is NEW:
                self.next_new = self.classes.draw()
            self.credit -= 1
            self.arrive()
        memory, running = self.used(), len(self.running)
        grown = [(k, age + 1) for k, age in self.running]
        self.running = [(k, age) for k, age in grown if age < self.output[k]]
        return [
            len(fresh) + len(resumed),
            len(gone),
            running - len(self.running),
            memory,
            running,
            sum(self.need(request) - 1 for request in gone),
            0,
            len(resumed),
            sum(self.need(request) - 1 for request in resumed),
            sum(self.prompt[k] for k, _ in fresh),
            len(self.waiting()),
        ]

    def waiting(self) -> list[Request]:
        return [request for request in self.queue if request is not NEW]

    def in_order_of_age(self) -> list[Request]:
        """Requests in memory as `State` lists them: the next to be evicted last."""
        left, order = list(self.running), []
        while self.running:
            order.append(self.running.pop(self.victim()))
        self.running = left
        return order[::-1]

    def everything(self) -> tuple[object, ...]:
        """All that the future depends on (classes in turn)."""
        queue = list(self.queue)
        while queue and queue[-1] is NEW and self.place.place == "head":
            queue.pop()
        credit = None if self.rate is None else self.credit
        return tuple(self.running), tuple(queue), credit, self.next_new, self.classes.phase()


def requeueing(
    system: System,
    start: State | None = None,
    *,
    place: Requeue = Requeue(),  # noqa: B008 -- frozen
    rate: Fraction | None = None,
    depth: Fraction | None = None,
    seed: int = 0,
) -> Requeueing:
    load = system.workload
    weights = load.tickets.tolist()
    return Requeueing(
        load.prompt.tolist(),
        load.output.tolist(),
        system.kv_tokens,
        AtRandom(weights, seed) if load.random else InTurn(weights),
        place,
        rate,
        depth,
        requests_of(start),
    )


def fluid_step(
    weights: npt.NDArray[np.float64],
    capacity: float,
    running: npt.NDArray[np.float64],
    waiting: npt.NDArray[np.float64],
    rate: float = np.inf,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """One class, requests by age, memory and queue apart; returns (running, waiting, executed).

    Theory section 2 as it stands: the youngest leave until the rest fits; where nobody left, who
    waits comes back, the most advanced first, then new requests.
    """
    running, waiting = running.copy(), waiting.copy()
    excess = float(weights @ running) - capacity
    if excess > 1e-11 * capacity:
        for age in range(weights.size):
            leaving = min(running[age], excess / weights[age])
            running[age] -= leaving
            waiting[age] += leaving
            excess -= leaving * weights[age]
            if excess <= 0:
                break
    else:
        free, allowed = max(-excess, 0.0), rate
        for age in range(weights.size - 1, -1, -1):
            most = waiting[age] if age else np.inf
            entering = min(most, free / weights[age], allowed)
            running[age] += entering
            waiting[age] -= min(entering, waiting[age])  # at age 0 the rest is new
            free -= entering * weights[age]
            allowed -= entering
    executed = running.copy()
    return np.concatenate([[0.0], running[:-1]]), waiting, executed
