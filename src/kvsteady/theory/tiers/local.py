"""Searches that cannot look at every candidate: too many lengths, or shares that may move."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from kvsteady.arrays import IntArray
from kvsteady.progress import Progress, silent
from kvsteady.theory.spectrum import Spectrum
from kvsteady.theory.tiers.choices import Choices
from kvsteady.theory.tiers.exclude import Searched
from kvsteady.theory.tiers.search import smallest_radii
from kvsteady.theory.tiers.sparse import Candidates

# Candidates that one look around may hold; fewer where outputs are long and spectra slow.
_AROUND, _LEAST_AROUND = 4000, 256
_USUAL_OUTPUT = 1024
_LOOKS = 30


@dataclass(frozen=True, eq=False)
class Point:
    """One design that a search ended in."""

    output: IntArray
    tickets: IntArray
    verdict: Spectrum


@dataclass(frozen=True, eq=False)
class Walk:
    """Where local searches ended, smallest radius first, and what they looked at."""

    ends: tuple[Point, ...]
    candidates: int
    evaluated: int
    searched: tuple[Searched, ...]


def walk_lengths(
    tiers: Choices, keep: int, *, restarts: int, seed: int, progress: Progress = silent
) -> Walk:
    """From the given tiers and from random ones to the best design that differs in two lengths,
    until none is better. Outputs beyond `_USUAL_OUTPUT` get fewer candidates and restarts.
    """
    longest = tiers.workload.longest_output
    around_most = max(_LEAST_AROUND, min(_AROUND, _AROUND * _USUAL_OUTPUT // longest))
    restarts = max(1, restarts * _USUAL_OUTPUT // max(longest, _USUAL_OUTPUT))
    random = np.random.default_rng(seed)
    ends: dict[bytes, Point] = {}
    seen = evaluated = 0
    searched = []
    for trip in range(restarts + 1):
        place = [0] * len(tiers.lengths)
        if trip:
            place = [int(random.integers(len(allowed))) for allowed in tiers.lengths]
        here: Point | None = None
        for look in range(_LOOKS):
            progress(trip * _LOOKS + look, (restarts + 1) * _LOOKS)
            around = tiers.at_given_shares(_two_away(tiers, place, around_most))
            below = np.inf if here is None else here.verdict.radius
            found = smallest_radii(around, keep, below=below)
            seen, evaluated = seen + len(around), evaluated + found.evaluated
            searched.append(Searched(around, found.roots))
            for index, verdict in found.best:
                point = Point(around.output[index], tiers.tickets, verdict)
                ends[point.output.tobytes()] = point
            if not found.best:
                break
            index, verdict = found.best[0]
            here = Point(around.output[index], tiers.tickets, verdict)
            place = [
                int(np.flatnonzero(allowed == length)[0])
                for allowed, length in zip(tiers.lengths, here.output, strict=True)
            ]
    ranked = sorted(ends.values(), key=lambda point: point.verdict.radius)
    return Walk(tuple(ranked[:keep]), seen, evaluated, tuple(searched))


def walk_shares(tiers: Choices, start: Point, *, progress: Progress = silent) -> Walk:
    """From one design to better shares: a step moves some share from one tier to another, by ever
    smaller amounts, down to a step of the grid.
    """
    here, size = start, tiers.share_steps
    seen = evaluated = 0
    searched = []
    while size >= 1:
        progress(tiers.share_steps - size, tiers.share_steps)
        moved = _moved(here.tickets, size, tiers)
        if len(moved) > 1:
            around = Candidates(tiers.workload.prompt, np.tile(here.output, (len(moved), 1)), moved)
            found = smallest_radii(around)
            seen, evaluated = seen + len(around), evaluated + found.evaluated
            searched.append(Searched(around, found.roots))
            index, verdict = found.best[0]
            if verdict.radius < here.verdict.radius * (1 - 1e-12):
                here = Point(here.output, moved[index], verdict)
                continue
        size //= 2
    return Walk((here,), seen, evaluated, tuple(searched))


def _two_away(tiers: Choices, place: list[int], most: int) -> IntArray:
    """Designs that differ from this one in two lengths at most, itself first."""
    here = np.array([allowed[i] for allowed, i in zip(tiers.lengths, place, strict=True)])
    pairs = list(combinations(range(len(place)), 2)) or [(0, 0)]
    each = max(3, int((most / len(pairs)) ** 0.5))
    rows = [here[None]]
    for one, two in pairs:
        window = [_nearby(tiers.lengths[k], int(here[k]), each) for k in (one, two)]
        grid = np.array(list(product(*window)))
        block = np.tile(here, (len(grid), 1))
        block[:, one], block[:, two] = grid[:, 0], grid[:, 1]
        rows.append(block)
    every = np.concatenate(rows)
    _, first = np.unique(every, axis=0, return_index=True)
    kept: IntArray = every[np.sort(first)]
    return kept


def _nearby(allowed: IntArray, length: int, most: int) -> list[int]:
    nearest: list[int] = allowed[np.argsort(np.abs(allowed - length), kind="stable")].tolist()
    return nearest[:most]


def _moved(tickets: IntArray, size: int, tiers: Choices) -> IntArray:
    """Shares after moving so many steps from one tier to another, the given ones first."""
    rows = [tickets]
    for giver, taker in product(range(tickets.size), repeat=2):
        row = tickets.copy()
        row[giver] -= size
        row[taker] += size
        within = np.abs(row - tiers.tickets).max() <= tiers.share_steps
        if giver != taker and row.min() > 0 and within:
            rows.append(row)
    return np.array(rows)
