"""The integer model of theory section 2 as a plain list of requests.

A request is ``(class, generated tokens)``; the list stands in queue order, oldest first. The queue
never empties. Its class order is

- in turn: smooth weighted round robin (as in nginx, 2012). Every class gains its weight, the
  class with the most (the first of equals) is next and pays the sum of all weights;
- at random: request n takes the class in which ``u_n · Σ weights`` falls, ``u_n`` the top 53 bits
  of the n-th SplitMix64 output (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
  generators", figure 16: golden gamma 0x9e3779b97f4a7c15, mix64 variant 13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

WORD = 2**64 - 1


def splitmix64(seed: int) -> Iterator[int]:
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & WORD
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        yield z ^ (z >> 31)


@dataclass
class InTurn:
    weights: list[int]
    owed: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.owed = [0] * len(self.weights)

    def draw(self) -> int:
        self.owed = [debt + weight for debt, weight in zip(self.owed, self.weights, strict=True)]
        chosen = self.owed.index(max(self.owed))
        self.owed[chosen] -= sum(self.weights)
        return chosen

    def phase(self) -> tuple[int, ...]:
        return tuple(self.owed)


@dataclass
class AtRandom:
    weights: list[int]
    seed: int

    def __post_init__(self) -> None:
        self.stream = splitmix64(self.seed)

    def draw(self) -> int:
        place = (next(self.stream) >> 11) / 2**53 * sum(self.weights)
        below = 0
        for k, weight in enumerate(self.weights):
            below += weight
            if place < below:
                return k
        return len(self.weights) - 1


@dataclass
class Engine:
    prompt: list[int]
    output: list[int]
    capacity: int
    queue: InTurn | AtRandom
    rate: Fraction | None = None  # None admits greedily
    depth: Fraction | None = None
    requests: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.requests.sort(key=lambda request: -request[1])  # oldest first; sorting is stable
        self.head = self.queue.draw()
        self.credit = Fraction(0)

    def need(self) -> int:
        return sum(self.prompt[k] + age + 1 for k, age in self.requests)

    def step(self) -> list[int]:
        """One iteration; the numbers of a trajectory's row."""
        gone = []
        while self.need() > self.capacity:
            gone.append(self.requests.pop())
        if self.rate is not None:
            self.credit = min(self.credit + self.rate, self.depth)
        admitted = 0
        free = self.capacity - self.need()
        while (
            not gone
            and self.prompt[self.head] + 1 <= free
            and (self.rate is None or self.credit >= 1)
        ):
            self.requests.append((self.head, 0))
            free -= self.prompt[self.head] + 1
            self.head = self.queue.draw()
            self.credit -= 1
            admitted += 1
        memory, running = self.need(), len(self.requests)
        grown = [(k, age + 1) for k, age in self.requests]
        self.requests = [(k, age) for k, age in grown if age < self.output[k]]
        return [
            admitted,
            len(gone),
            len(grown) - len(self.requests),
            memory,
            running,
            sum(self.prompt[k] + age for k, age in gone),
            sum(age for _, age in gone),
        ]

    def everything(self) -> tuple[object, ...]:
        """All that the future depends on (classes in turn)."""
        credit = None if self.rate is None else self.credit
        return tuple(self.requests), credit, self.head, self.queue.phase()


def brute_force_period(engine: Engine, limit: int) -> tuple[int, int]:
    """First iteration of the cycle and its period, by remembering every state; (0, 0) if none
    recurred within the limit, as a long queue of evicted requests can take very long to.
    """
    seen: dict[tuple[object, ...], int] = {}
    for time in range(limit):
        state = engine.everything()
        if state in seen:
            return seen[state], time - seen[state]
        seen[state] = time
        engine.step()
    return 0, 0
