"""A season: constants are chosen on one seed, the best play on others, ours is judged there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from kvsteady import __version__
from kvsteady.errors import InputError, shown
from kvsteady.league.engines import ENGINES, TIME, EngineName
from kvsteady.league.entrants import ENTRANTS, Constants, Entrant
from kvsteady.league.entrants import QUICK as QUICK_ENTRANTS
from kvsteady.league.match import Match
from kvsteady.league.measure import Result
from kvsteady.league.table import League, Row
from kvsteady.league.verdicts import by_front, judge, like_tax
from kvsteady.league.workloads import CONTESTS
from kvsteady.league.workloads import QUICK as QUICK_WORKLOADS
from kvsteady.progress import Progress, silent
from kvsteady.sweep import HERE, Store, Task, Workers, sweep
from kvsteady.workload.ranges import whole_number

TASK: Final = "kvsteady.league.match:play"
# The seed that constants are chosen on; those that are measured come after it.
CHOOSING: Final = 0
OURS: Final = next(name for name, entrant in ENTRANTS.items() if entrant.role == "ours")


@dataclass(frozen=True)
class Season:
    """What is played.

    Parameters
    ----------
    workloads, engines
        Keys; empty: all, or with ``quick`` a few.
    seeds
        How many are measured, from 1; None is 5, or 1 with ``quick``.
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

    def measured(self, workload: str) -> range:
        """The seeds that are measured; where none draws anything, only the one."""
        return range(1, self.count + 1) if CONTESTS[workload].seeded else range(1)

    def first(self) -> list[Match]:
        """Every constants of a grid on seed 0; who has none to choose on the seeds to measure."""
        there = tuple(name for name in CONTESTS if self.mooncake or not _needs_trace(name))
        workloads = self.workloads or (QUICK_WORKLOADS if self.quick else there)
        engines = self.engines or (("vllm",) if self.quick else ENGINES)
        longest = max(self.count, *(len(entrant.grid) for entrant in ENTRANTS.values()))
        # Another entrant each time, so that several workers do not compile the same one first.
        return [
            Match(
                workload=workload,
                entrant=entrant.name,
                engine=engine,
                seed=seed,
                constants=constants,
                quick=self.quick,
                trace=self.mooncake if self.mooncake and _needs_trace(workload) else "",
            )
            for engine in ENGINES
            for place in range(longest)
            for workload in CONTESTS
            for entrant in ENTRANTS.values()
            if workload in workloads
            and engine in engines
            and (not entrant.engines or engine in entrant.engines)
            and (not self.quick or entrant.name in QUICK_ENTRANTS)
            for constants, seed in self._tries(entrant, workload)[place : place + 1]
        ]

    def _tries(self, entrant: Entrant, workload: str) -> list[tuple[Constants, int]]:
        if _chooses(entrant.name):
            return [(constants, CHOOSING) for constants in entrant.grid]
        return [(entrant.grid[0], seed) for seed in self.measured(workload)]


def _chooses(entrant: str) -> bool:
    return len(ENTRANTS[entrant].grid) > 1


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
    known = len(first) + sum(
        len(season.measured(workload))
        for workload, _, entrant in {_place(match) for match in first}
        if _chooses(entrant)
    )

    def begun(done: int, total: int | None) -> None:
        del total
        progress(done, known)

    def going(done: int, total: int | None) -> None:
        progress(len(first) + done, len(first) + (total or 0))

    results = sweep(task, first, store, workers=workers, progress=begun)
    played = dict(zip(first, results, strict=True))
    again = _again(season, first, played)
    results = sweep(task, again, store, workers=workers, progress=going)
    return _table(season, played | dict(zip(again, results, strict=True)))


def table_so_far(season: Season, store: Store) -> League:
    """The league from what a store holds; nothing is played, and what is missing is counted."""
    return _table(season, dict(store.rows(Task(TASK))))


def _place(match: Match) -> tuple[str, str, str]:
    return match.workload, match.engine, match.entrant


def _again(season: Season, first: Sequence[Match], played: Mapping[Match, Result]) -> list[Match]:
    """Those whose constants were chosen, on the seeds that are measured."""
    chosen = [*_best(first, played), *_fronts(first, played)]
    found = dict.fromkeys(match for each in chosen for match in _on_seeds(season, each))
    there = set(first)
    return [match for match in found if match not in there]


def _on_seeds(season: Season, match: Match) -> list[Match]:
    seeds = season.measured(match.workload)
    return [msgspec.structs.replace(match, seed=seed) for seed in seeds]


def _best(first: Sequence[Match], played: Mapping[Match, Result]) -> list[Match]:
    """A match with the best constants of each entrant, workload and engine."""
    groups = _groups(match for match in first if match in played)
    return [max(group, key=lambda match: _merit(played[match])) for group in groups.values()]


def _fronts(first: Sequence[Match], played: Mapping[Match, Result]) -> Iterator[Match]:
    """Where the front is the bar: of each grid the most completions at no more tax than ours."""
    groups = _groups(match for match in first if match in played)
    for (workload, engine, entrant), tried in groups.items():
        ours = [played[match] for match in groups.get((workload, engine, OURS), ())]
        if not ours or not _chooses(entrant) or ENTRANTS[entrant].role != "baseline":
            continue
        if by_front(CONTESTS[workload], engine, ours):
            most = like_tax(ours)
            like = [match for match in tried if played[match].recompute_tax <= most]
            if like:
                yield max(like, key=lambda match: played[match].of_x)


def _groups(matches: Iterable[Match]) -> dict[tuple[str, str, str], list[Match]]:
    groups: dict[tuple[str, str, str], list[Match]] = {}
    for match in matches:
        groups.setdefault(_place(match), []).append(match)
    return groups


def _merit(result: Result) -> tuple[float, ...]:
    """By output tokens per second; an open loop's are given, so there by goodput, then TTFT."""
    ran = float(result.outcome == "ran")
    if result.ttft_p99_s is None:
        return ran, result.tokens_per_second
    return ran, round(result.goodput or 0.0, 2), -result.ttft_p99_s


def _table(season: Season, played: Mapping[Match, Result]) -> League:
    first = season.first()
    again = _again(season, first, played)
    rows = [_row(season, match, first, played) for match in _best(first, played)]
    fronts = [_row(season, match, (), played) for match in _fronts(first, played)]
    groups: dict[tuple[str, EngineName], tuple[list[Row], list[Row]]] = {}
    for row in rows:
        groups.setdefault((row.workload, row.engine), ([], []))[0].append(row)
    for row in fronts:
        groups[row.workload, row.engine][1].append(row)
    verdicts = [judge(CONTESTS[workload], *group) for (workload, _), group in groups.items()]
    return League(
        kvsteady_version=__version__,
        time=TIME,
        seeds=season.count,
        quick=season.quick,
        missing=sum(match not in played for match in (*first, *again)),
        rows=tuple(rows),
        fronts=tuple(fronts),
        verdicts=tuple(verdict for group in verdicts for verdict in group),
    )


def _row(
    season: Season, best: Match, first: Sequence[Match], played: Mapping[Match, Result]
) -> Row:
    there = [match for match in _on_seeds(season, best) if match in played]
    return Row(
        workload=best.workload,
        engine=best.engine,
        entrant=best.entrant,
        role=ENTRANTS[best.entrant].role,
        constants=best.constants,
        seeds=tuple(match.seed for match in there),
        results=tuple(played[match] for match in there),
        tried=tuple(
            (match.constants, played[match])
            for match in first
            if match in played and _chooses(best.entrant) and _place(match) == _place(best)
        ),
    )
