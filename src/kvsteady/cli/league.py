"""``kvsteady league``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import OK, show
from kvsteady.cli.options import Computers

_REPORTS = ("league.json", "league.html")


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
    this version of the code has played is not played again. Exit codes: 0 done, 2 bad input.

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
        Where results are kept, and league.json, matches.parquet and league.html written.
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
    store = Store(out / "matches")
    with Bar("Playing", errors) as bar:
        found = play_season(season, store, workers=workers, progress=bar)
    for name in _REPORTS if html else _REPORTS[:1]:
        save(found, out / name)
    store.write_parquet(Task(TASK), out / "matches.parquet")
    show(found, render_league, json=json, errors=errors, note=f"Written to {out}")
    return OK
