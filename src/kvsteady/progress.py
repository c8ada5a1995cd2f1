"""How long work tells the caller how far it is, without knowing who watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by long work; the command line draws a bar from it."""

    def __call__(self, done: int, total: int | None) -> None:
        """``done`` units of ``total`` are finished; ``total`` is None where it is not known."""


def silent(done: int, total: int | None) -> None:
    """Ignore the report: what library calls use unless told otherwise."""
