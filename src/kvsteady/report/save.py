"""A result into a file: all of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from kvsteady.advise.analysis import Analysis
from kvsteady.advise.tuning.record import Tuning
from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.files import write_whole
from kvsteady.league.table import League
from kvsteady.progress import Progress, silent
from kvsteady.report.html import render_html
from kvsteady.report.league import render_league_html
from kvsteady.report.reproduction import render_reproduction_html
from kvsteady.report.tuning_html import render_tuning_html
from kvsteady.reproduce.finding import Reproduction

_SUFFIXES = (".html", ".json")


def save(
    result: Analysis | League | Reproduction | Tuning,
    path: str | PathLike[str],
    *,
    progress: Progress = silent,
) -> None:
    """Write a result as JSON (``.json``) or as a self-contained report (``.html``).

    The file appears whole or not at all; an older one stays until then.

    Parameters
    ----------
    result
        What `check`, `tune`, `reproduce` or `play_season` returned.
    path
        Where to; the suffix decides the format, the directory must exist.
    progress
        Called with steps done of two: rendered, written.

    Raises
    ------
    InputError
        Another suffix, no such directory, a directory, or a place that cannot be written.
    MissingExtraError
        A report without Plotly (``kvsteady[report]``).
    """
    check_destination(path)
    progress(0, 2)
    data = (
        result.to_json() + b"\n"
        if Path(path).suffix.lower() == ".json"
        else _as_page(result).encode()
    )
    progress(1, 2)
    with _said_as_input_error(path):
        # Through a link, so that the link stays one.
        write_whole(Path(os.path.realpath(path)), data)
    progress(2, 2)


def check_destination(path: str | PathLike[str]) -> None:
    """Refuse what `save` would refuse, before the work whose result it is to hold.

    Raises
    ------
    InputError, MissingExtraError
        As `save`.
    """
    place = Path(path)
    if place.suffix.lower() not in _SUFFIXES:
        raise InputError(f"suffix {place.suffix!r}", file=path, allowed=" or ".join(_SUFFIXES))
    home = place.parent
    with _said_as_input_error(path):
        if place.is_dir():
            raise InputError("is a directory", file=path)
        if not home.is_dir():
            raise InputError(f"no such directory: {home}", file=path)
        if not os.access(home, os.W_OK | os.X_OK):
            raise InputError(f"no permission to write in {home}", file=path)
    if place.suffix.lower() == ".html":
        import_extra("plotly", extra="report")


def _as_page(result: Analysis | League | Reproduction | Tuning) -> str:
    if isinstance(result, Reproduction):
        return render_reproduction_html(result)
    if isinstance(result, League):
        return render_league_html(result)
    if isinstance(result, Tuning):
        return render_tuning_html(result)
    return render_html(result)


@contextmanager
def _said_as_input_error(path: str | PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be written: {reason}", file=path) from error
    except InputError:
        raise
    except ValueError as error:  # a null character in the path
        raise InputError(f"cannot be written: {error}", file=path) from error
