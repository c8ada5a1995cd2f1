"""What commands that compute many runs have in common: errors by option, and a word on Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from kvsteady.errors import InputError

if TYPE_CHECKING:
    from kvsteady.sweep import Store


@contextmanager
def named(options: Mapping[str, str]) -> Iterator[None]:
    """Let errors name the option where the library names its parameter."""
    try:
        yield
    except InputError as error:
        raise error.but(field=options.get(error.field or "", error.field)) from None


@contextmanager
def kept(
    store: Store | None,
    task: str,
    errors: Console,
    save: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """When interrupted, ``save`` what landed and say how to go on; a lost worker says so itself."""
    from kvsteady.report.numbers import counted
    from kvsteady.sweep import SweepError, Task

    try:
        yield
    except SweepError:
        save()
        raise
    except KeyboardInterrupt:
        if store is not None:
            save()
            many = counted(sum(1 for _ in store.rows(Task(task))), "run")
            errors.print(
                f"Landed so far: {many}, kept in {store.folder}; the same command goes on from "
                "there",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        raise
