"""``kvsteady report``."""

from __future__ import annotations

from pathlib import Path

from kvsteady.cli.ending import OK
from kvsteady.cli.output import Output
from kvsteady.errors import InputError


def report(analysis: Path, /, *, html: Path | None = None) -> int:
    """Show a saved analysis or tuning again, or turn it into a report.

    Parameters
    ----------
    analysis
        What ``kvsteady check --json`` or ``kvsteady tune --json`` printed, in a file.
    html
        Write a self-contained report to this file instead of printing the summary.
    """
    from kvsteady.advise import Tuning, load_saved
    from kvsteady.report import render_terminal, render_tuning, save

    try:
        saved = load_saved(analysis.read_bytes(), file=str(analysis))
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", file=analysis) from None
    if html is not None:
        save(saved, html)
    elif isinstance(saved, Tuning):
        render_tuning(saved, Output())
    else:
        render_terminal(saved, Output())
    return OK
