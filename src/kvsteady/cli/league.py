"""``kvsteady league``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import OK, show
from kvsteady.cli.options import Computers
from kvsteady.cli.sweeping import kept, named
from kvsteady.errors import MissingExtraError

_REPORTS, _TABLE = ("league.json", "league.html"), "matches.parquet"


def league(
    *,
    quick: bool = False,
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    engine: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    seeds: int | None = None,
    out: Annotated[Path, Parameter(show_default=True)] = Path("kvsteady-league"),
    computers: Computers = Computers(),
    mooncake: str | None = None,
    json: bool = False,
    html: bool = False,
) -> int:
    """Play every admission policy on every workload and engine, and show the table.

    Results land in a folder as they finish: a run that was stopped goes on where it was, and what
    this version of the code has played is not played again. Exit codes: 0 done, 2 bad input, 130
    interrupted.

    Parameters
    ----------
    quick
        Three workloads, two policies, one engine, one seed: seconds, but a minute of
        computing or more the first time, which compiles.
    only
        Workloads to play; all if not given.
    engine
        vllm or sglang; both if not given.
    seeds
        Seeds that are measured: 5, with --quick 1.
    out
        Where results are kept, and league.json, league.html and, with pyarrow, matches.parquet
        written.
    mooncake
        Mooncake's conversation trace: plays its requests with the prefixes they share, too.
    json
        Print the league as JSON instead of the tables.
    html
        Write league.html.
    """
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.extras import import_extra
    from kvsteady.league import Season, play_season
    from kvsteady.league.season import TASK
    from kvsteady.report import render_league, save
    from kvsteady.sweep import Store, Task

    season = Season(workloads=only, engines=engine, seeds=seeds, quick=quick, mooncake=mooncake)
    # With --quick most of its time goes into compiling, which each process does.
    workers = computers.chosen(usually=1 if quick else None)
    errors = Console(stderr=True)
    if html:
        import_extra("plotly", extra="report")
    try:
        import_extra("pyarrow.parquet", extra="traces")
        tabled = True
    except MissingExtraError as error:  # every match is in a file of its own all the same
        errors.print(f"No {_TABLE} is written: {error}", highlight=False, markup=False)
        tabled = False
    store = Store(out / "matches")

    def tabulate() -> None:
        if tabled:
            store.write_parquet(Task(TASK), out / _TABLE)

    with (
        named({"address": computers.cluster}),
        kept(store, TASK, errors, tabulate),
        Bar("Playing", errors) as bar,
    ):
        found = play_season(season, store, workers=workers, progress=bar)
    for name in _REPORTS if html else _REPORTS[:1]:
        save(found, out / name)
    tabulate()
    show(found, render_league, json=json, errors=errors, note=f"Written to {out}")
    return OK
