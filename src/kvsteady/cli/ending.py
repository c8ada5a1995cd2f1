"""How commands end: what they print, and their exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console

from kvsteady.cli.output import Output
from kvsteady.errors import InputError
from kvsteady.files import write_whole

OK, FAILED = 0, 1


class Printable(Protocol):
    """A result of any command."""

    def to_json(self) -> bytes:
        """The result in UTF-8."""
        ...


class Ranked(Protocol):
    """A verdict, or an outcome."""

    @property
    def concern(self) -> int:
        """Growing with it."""
        ...


Found = TypeVar("Found", bound=Printable)


def show(
    found: Found,
    render: Callable[[Found, Output], None],
    *,
    json: bool,
    errors: Console | None = None,
    note: str | None = None,
) -> None:
    """Print a result as JSON, or for people; then, on ``errors``, with a note to them."""
    if json:
        sys.stdout.write(found.to_json().decode() + "\n")
        return
    render(found, Output())
    if errors is not None and note is not None:
        errors.print(note, highlight=False, markup=False)


def written(html: Path | None) -> str | None:
    """The note that there is a report."""
    return None if html is None else f"Report written to {html}"


def exit_code(found: str, fail_on: str | None, of_label: Callable[[str], Ranked]) -> int:
    """1 where what was found is of as much concern as ``fail_on``, or more; both are labels."""
    if fail_on is None:
        return OK
    return FAILED if of_label(found).concern >= of_label(fail_on).concern else OK


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file; `InputError` where that fails."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise InputError(error.strerror or "cannot be written", file=path) from None
