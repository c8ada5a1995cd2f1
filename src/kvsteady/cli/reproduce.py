"""``kvsteady reproduce``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import FAILED, OK, show, written
from kvsteady.errors import InputError

_REPORTS = ("report.json", "report.html")


def reproduce(
    *,
    folder: Annotated[Path, Parameter(name="--to", show_default=True)] = Path("kvsteady-reproduce"),
    only: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None,
    list_claims: Annotated[bool, Parameter(name="--list")] = False,
    json: bool = False,
) -> int:
    """Measure every claim of arXiv:2606.15555, and ours, and write a report with a row for each.

    Takes one to two minutes. A run that was stopped goes on where it was; what this version of the
    code has measured is not measured again. Exit codes: 0 done, 1 a claim is not reproduced,
    2 bad input.

    Parameters
    ----------
    folder
        Where findings are kept as they land, and report.html and report.json written.
    only
        Measure these claims only; see --list.
    list_claims
        List the claims with their keys, and measure nothing.
    json
        Print the findings as JSON instead of the table.
    """
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.extras import import_extra
    from kvsteady.report import check_destination, render_reproduction, save
    from kvsteady.reproduce import Outcome
    from kvsteady.reproduce import reproduce as measure
    from kvsteady.reproduce.claims import CLAIMS

    errors = Console(stderr=True)
    if list_claims:
        width = max(len(claim.key) for claim in CLAIMS)
        for claim in CLAIMS:
            sys.stdout.write(f"{claim.key:{width}}  {claim.title}\n")
        return OK
    if only == ():
        raise InputError("names no claim", field="only", allowed="keys that --list prints")
    if folder.is_dir():
        for name in _REPORTS:
            check_destination(folder / name)
    else:
        import_extra("plotly", extra="report")
    with Bar("Reproducing", errors) as bar:
        found = measure(folder, only=only or (), progress=bar)
    for name in _REPORTS:
        save(found, folder / name)
    note = written(folder / "report.html")
    show(found, render_reproduction, json=json, errors=errors, note=note)
    return FAILED if found.count(Outcome.NOT_REPRODUCED) else OK
