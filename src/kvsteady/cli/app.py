"""The commands of ``kvsteady``."""

from __future__ import annotations

from cyclopts import App, Parameter

from kvsteady import __version__
from kvsteady.cli.check import check
from kvsteady.cli.ending import OK
from kvsteady.cli.fit import fit
from kvsteady.cli.league import league
from kvsteady.cli.report import report
from kvsteady.cli.reproduce import reproduce
from kvsteady.cli.simulate import simulate
from kvsteady.cli.tiers import tiers
from kvsteady.cli.tune import tune

app = App(
    name="kvsteady",
    version=__version__,
    help="Keep LLM serving out of KV-cache eviction cycles.",
    default_parameter=Parameter(negative=(), show_default=False),
    suppress_keyboard_interrupt=False,  # main says so and picks the exit code
)

for _command in (check, tiers, simulate, tune, league, fit, reproduce, report):
    app.command(_command)


def run(arguments: list[str] | None) -> int:
    """Run one command; returns its exit code, or raises what went wrong."""
    code = app(
        arguments,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    return code or OK
