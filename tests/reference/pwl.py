"""Greedy admission over cohorts of the workload's own mix, in fractions, stage by stage.

Evicts from the youngest cohort up, as section 2 of the theory says it, one cohort at a time; no
rounding anywhere. ``a[i]`` requests (of all classes, as admitted) were admitted i iterations ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from kvsteady.workload import Workload

Amplitudes = list[Fraction]


@dataclass(frozen=True)
class Law:
    """Classes ``(prompt, output, share)`` with exact shares."""

    classes: tuple[tuple[int, int, Fraction], ...]
    capacity: int

    @classmethod
    def of(cls, load: Workload, capacity: int) -> Law:
        total = int(load.tickets.sum())
        rows = zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True)
        return cls(tuple((l0, l1, Fraction(n, total)) for l0, l1, n in rows), capacity)

    @property
    def longest(self) -> int:
        return max(l1 for _, l1, _ in self.classes)

    def weight(self, age: int) -> Fraction:
        """KV tokens in the coming iteration per request admitted ``age`` iterations ago."""
        alive = (p * (l0 + age + 1) for l0, l1, p in self.classes if l1 > age)
        return sum(alive, Fraction(0))

    def alive(self, age: int) -> Fraction:
        return sum((p for _, l1, p in self.classes if l1 > age), Fraction(0))

    def used(self, a: Amplitudes) -> Fraction:
        return sum((self.weight(i) * a[i] for i in range(self.longest)), Fraction(0))

    def memory_time(self, k: int) -> int:
        """Token-iterations that one request of class k takes up from admission to completion."""
        l0, l1, _ = self.classes[k]
        return sum(l0 + i + 1 for i in range(l1))


@dataclass(frozen=True)
class Turn:
    """One iteration: requests admitted and evicted, generated tokens lost, completions by class."""

    admitted: Fraction
    evicted: Fraction
    wasted: Fraction
    completed: tuple[Fraction, ...]
    memory: Fraction


def fill(law: Law, before: Amplitudes) -> tuple[Amplitudes, Fraction, Fraction, Fraction]:
    """Evict, or else admit: (in memory, admitted, evicted requests, wasted tokens)."""
    a = list(before)
    evicted = wasted = Fraction(0)
    age = 0
    while law.used(a) > law.capacity:
        need = law.weight(age) * a[age]
        excess = law.used(a) - law.capacity
        gone = a[age] if need <= excess else excess / law.weight(age)
        a[age] -= gone
        evicted += gone * law.alive(age)
        wasted += gone * law.alive(age) * age
        age += 1
    admitted = Fraction(0)
    if not evicted:
        admitted = (law.capacity - law.used(a)) / law.weight(0)
        a[0] += admitted
    return a, admitted, evicted, wasted


def iteration(law: Law, before: Amplitudes) -> tuple[Turn, Amplitudes]:
    """One whole iteration, from a state before it to the state before the next."""
    a, admitted, evicted, wasted = fill(law, before)
    completed = tuple(a[l1 - 1] * p for _, l1, p in law.classes)
    turn = Turn(admitted, evicted, wasted, completed, law.used(a))
    return turn, [Fraction(0), *a[:-1]]


def full(law: Law, before: Amplitudes, iterations: int) -> Amplitudes:
    """Who is in memory during the iteration that comes ``iterations`` after the next one."""
    state = list(before)
    for _ in range(iterations):
        _, state = iteration(law, state)
    return fill(law, state)[0]
