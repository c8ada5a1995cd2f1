"""A season: constants are tuned on one seed, the best play on all, ours is judged row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from kvsteady import __version__
from kvsteady.errors import InputError, shown
from kvsteady.league.engines import ENGINES, TIME
from kvsteady.league.entrants import ENTRANTS
from kvsteady.league.entrants import QUICK as QUICK_ENTRANTS
from kvsteady.league.match import Match
from kvsteady.league.measure import Result
from kvsteady.league.table import League, Row
from kvsteady.league.verdicts import judge
from kvsteady.league.workloads import CONTESTS
from kvsteady.league.workloads import QUICK as QUICK_WORKLOADS
from kvsteady.progress import Progress, silent
from kvsteady.sweep import HERE, Store, Task, Workers, sweep
from kvsteady.workload.ranges import whole_number

TASK: Final = "kvsteady.league.match:play"


@dataclass(frozen=True)
class Season:
    """What is played.

    Parameters
    ----------
    workloads, engines
        Keys; empty: all, or with ``quick`` a few.
    seeds
        How many; None is 5, or 1 with ``quick``.
    mooncake
        A Mooncake trace, which is played too (``mooncake-prefixes``); its path as workers see it.
    quick
        Three workloads, two policies, one engine, short runs: to see that it works.

    Raises
    ------
    InputError
        A workload or an engine that there is not, or seeds that are not positive.
    """

    workloads: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    seeds: int | None = None
    quick: bool = False
    mooncake: str | None = None

    def __post_init__(self) -> None:
        for field, given, known in (
            ("only", self.workloads, tuple(CONTESTS)),
            ("engine", self.engines, ENGINES),
        ):
            for name in given:
                if name not in known:
                    raise InputError(f"no {shown(name)}", field=field, allowed=", ".join(known))
        if self.mooncake is None and any(_needs_trace(name) for name in self.workloads):
            raise InputError("needs a trace", field="only", allowed="with a Mooncake trace given")
        if self.seeds is not None:
            whole_number(self.seeds, "seeds", 1, 1000)

    @property
    def count(self) -> int:
        """Seeds."""
        return self.seeds or (1 if self.quick else 5)

    def first(self) -> list[Match]:
        """Every constants of every grid, on seed 0."""
        there = tuple(name for name in CONTESTS if self.mooncake or not _needs_trace(name))
        workloads = self.workloads or (QUICK_WORKLOADS if self.quick else there)
        engines = self.engines or (("vllm",) if self.quick else ENGINES)
        longest = max(len(entrant.grid) for entrant in ENTRANTS.values())
        # Another entrant each time, so that several workers do not compile the same one first.
        return [
            Match(
                workload=workload,
                entrant=entrant.name,
                engine=engine,
                constants=entrant.grid[place],
                quick=self.quick,
                trace=self.mooncake if self.mooncake and _needs_trace(workload) else "",
            )
            for engine in ENGINES
            for place in range(longest)
            for workload in CONTESTS
            for entrant in ENTRANTS.values()
            if workload in workloads
            and engine in engines
            and place < len(entrant.grid)
            and (not entrant.engines or engine in entrant.engines)
            and (not self.quick or entrant.name in QUICK_ENTRANTS)
        ]


def _needs_trace(workload: str) -> bool:
    return CONTESTS[workload].kind == "trace"


def play_season(
    season: Season,
    store: Store | None = None,
    *,
    workers: Workers = HERE,
    progress: Progress = silent,
) -> League:
    """Play a season; with a store it goes on where it was stopped.

    Parameters
    ----------
    season
        What is played.
    store, workers
        As in `sweep`.
    progress
        Called with matches done and to do; the second half of them becomes known when the first
        is over.
    """
    task, first = Task(TASK), season.first()
    known = len(first) + (season.count - 1) * len({_place(match) for match in first})

    def begun(done: int, total: int | None) -> None:
        del total
        progress(done, known)

    def going(done: int, total: int | None) -> None:
        progress(len(first) + done, len(first) + (total or 0))

    results = sweep(task, first, store, workers=workers, progress=begun)
    played = dict(zip(first, results, strict=True))
    again = _again(season, _best(first, played))
    results = sweep(task, again, store, workers=workers, progress=going)
    return _table(season, played | dict(zip(again, results, strict=True)))


def table_so_far(season: Season, store: Store) -> League:
    """The league from what a store holds; nothing is played, and what is missing is counted."""
    return _table(season, dict(store.rows(Task(TASK))))


def _place(match: Match) -> tuple[str, str, str]:
    return match.workload, match.engine, match.entrant


def _again(season: Season, best: Sequence[Match]) -> list[Match]:
    """The best, on the other seeds."""
    return [
        msgspec.structs.replace(match, seed=seed)
        for match in best
        for seed in range(1, season.count if CONTESTS[match.workload].seeded else 1)
    ]


def _best(tried: Sequence[Match], played: dict[Match, Result]) -> list[Match]:
    """The match with the best constants of each entrant, workload and engine."""
    groups: dict[tuple[str, str, str], list[Match]] = {}
    for match in tried:
        if match in played:
            groups.setdefault(_place(match), []).append(match)
    return [max(group, key=lambda match: _merit(played[match])) for group in groups.values()]


def _merit(result: Result) -> tuple[float, ...]:
    """By output tokens per second; an open loop's are given, so there by goodput, then TTFT."""
    ran = float(result.outcome == "ran")
    if result.ttft_p99_s is None:
        return ran, result.tokens_per_second
    return ran, round(result.goodput or 0.0, 2), -result.ttft_p99_s


def _table(season: Season, played: dict[Match, Result]) -> League:
    first = season.first()
    best = _best(first, played)
    again = _again(season, best)
    rows = [_row(match, first, again, played) for match in best]
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.workload, row.engine), []).append(row)
    verdicts = [judge(CONTESTS[workload], group) for (workload, _), group in groups.items()]
    return League(
        kvsteady_version=__version__,
        time=TIME,
        seeds=season.count,
        quick=season.quick,
        missing=sum(match not in played for match in (*first, *again)),
        rows=tuple(rows),
        verdicts=tuple(verdict for group in verdicts for verdict in group),
    )


def _row(
    best: Match, first: Sequence[Match], again: Sequence[Match], played: dict[Match, Result]
) -> Row:
    seeds = [match for match in again if msgspec.structs.replace(match, seed=best.seed) == best]
    return Row(
        workload=best.workload,
        engine=best.engine,
        entrant=best.entrant,
        role=ENTRANTS[best.entrant].role,
        constants=best.constants,
        results=(played[best], *(played[match] for match in seeds if match in played)),
        tried=tuple(
            (match.constants, played[match])
            for match in first
            if match in played and _place(match) == _place(best)
        ),
    )
