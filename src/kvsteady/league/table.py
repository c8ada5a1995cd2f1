"""The league as saved data: rows, verdicts, and what was played."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from kvsteady.league.engines import EngineName
from kvsteady.league.entrants import Constants
from kvsteady.league.measure import Result
from kvsteady.saved import Record, Saved, read_saved

SCHEMA_VERSION = 3

Standing: TypeAlias = Literal["holds", "noise", "missed", "unjudged"]


class Row(Record, frozen=True, kw_only=True):
    """An entrant on a workload on an engine, with its best constants.

    ``results`` has one entry for each of ``seeds``; ``tried`` every constants of the grid with its
    result on seed 0, on which they were chosen; none where there was no choice. ``role`` is ours,
    baseline or oracle.
    """

    workload: str
    engine: EngineName
    entrant: str
    role: str
    constants: Constants
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    tried: tuple[tuple[Constants, Result], ...]

    def by_seed(self) -> list[tuple[int, Result]]:
        """Each seed with its result."""
        return list(zip(self.seeds, self.results, strict=True))

    def values(self, field: str) -> list[float]:
        """A field of `Result`, one per seed that has the number."""
        found = (getattr(result, field) for result in self.results)
        return [float(value) for value in found if value is not None]

    def mean(self, field: str) -> float:
        """Over the seeds; NaN where the number does not exist."""
        values = self.values(field)
        return sum(values) / len(values) if values else math.nan


class Verdict(Record, frozen=True, kw_only=True):
    """One bar for our policy: what was measured, its 95% interval (``± half``), and the bar.

    ``sense`` says on which side of the bar it must lie. ``noise``: it misses the bar by less than
    the interval. ``unjudged``: no seed has the number, and ``measured`` is null. ``reason``: why
    not, also where only some seeds lack it. ``bound``: what nobody betters without evictions, where
    that is proved.
    """

    workload: str
    engine: EngineName
    what: str
    measured: float | None
    half: float
    sense: Literal[">=", "<="]
    bar: float
    standing: Standing
    bound: float | None = None
    reason: str = ""


class League(Saved, frozen=True, kw_only=True):
    """The table: rows by workload, engine and entrant, and how ours stands.

    ``fronts`` are baselines once more where their Pareto front is the bar, with the constants that
    completed most at no more recompute tax than ours. ``time`` names the iteration times;
    ``missing`` matches of the season were not played.
    """

    schema_version: int = SCHEMA_VERSION
    kvsteady_version: str
    time: str
    seeds: int
    quick: bool
    missing: int
    rows: tuple[Row, ...]
    fronts: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]


def load_league(data: bytes, *, file: str | None = None) -> League:
    """Read back the JSON of a `League`; raises `InputError` on anything else."""
    return read_saved(data, League, version=SCHEMA_VERSION, what="league", file=file)
