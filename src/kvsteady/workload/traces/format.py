"""What a trace format is, and the table format that most of them are."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from kvsteady.errors import InputError
from kvsteady.workload.traces.checks import Batch
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.containers import TABLES
from kvsteady.workload.traces.peek import Peek
from kvsteady.workload.traces.source import Source


class TraceFormat(Protocol):
    """One trace format. To add one, write one small file and name it in ``FORMATS``.

    Where requests are the rows of a CSV, JSONL, JSON or Parquet table, the file holds one
    `TableFormat`; ``formats/azure.py`` is an example. Otherwise write a class with the members
    below; ``formats/vllm_bench.py`` is an example.
    """

    @property
    def name(self) -> str:
        """What a user gives as ``format=``."""

    def recognises(self, peek: Peek) -> bool:
        """Tell whether the file is of this format, from its first bytes.

        Ask for all that sets the format apart, its unit of time above all: a file taken for
        another format gives wrong numbers, an unrecognised one only an error.
        """

    def batches(self, source: Source, peek: Peek) -> Generator[Batch, None, None]:
        """Yield the requests in file order, each checked, a bounded number at a time.

        `checked_rows` does the checking and the gathering; ``containers`` has readers to use.

        Raises
        ------
        InputError
            With file, line and field, at the first thing that cannot be used.
        Doubt
            From a fast path only: the file is then read again with ``source.plain`` True.
        """

    def about(self, source: Source, skipped: int) -> tuple[str, tuple[str, ...]]:
        """Give name and notes of the workload; ``skipped`` requests are not in the batches."""


@dataclass(frozen=True)
class TableFormat:
    """A format whose requests are rows with named columns.

    Parameters
    ----------
    name
        As in `TraceFormat`.
    containers
        Keys of ``containers.TABLES``: the kinds of file it comes in.
    layouts
        Columns it may have; the first layout whose columns are all there is read.
    failed
        What an output of 0 tokens means, for the note: such rows are skipped and counted. None
        where an output of 0 is an error.
    caveat
        What such a trace tells that kvsteady does not use, for the notes; None if nothing.
    """

    name: str
    containers: tuple[str, ...]
    layouts: tuple[Columns, ...] = ()
    failed: str | None = None
    caveat: str | None = None

    def recognises(self, peek: Peek) -> bool:
        """Tell whether a layout's columns are all there, in a kind of file it comes in."""
        return peek.container in self.containers and self.columns(peek) is not None

    def columns(self, peek: Peek) -> Columns | None:
        """Find the layout of this file."""
        return next((each for each in self.layouts if set(each.names) <= set(peek.fields)), None)

    def batches(self, source: Source, peek: Peek) -> Generator[Batch, None, None]:
        """Read the table."""
        if peek.container not in self.containers:
            raise InputError(
                f"a {peek.container} file is no {self.name} trace",
                file=source.path,
                allowed=" or ".join(self.containers),
            )
        if not self.layouts:
            raise InputError(
                f"format {self.name} needs the names of its columns",
                file=source.path,
                field="columns",
                allowed=f"--columns prompt=A,output=B,time=C with names among {listed(peek)}",
            )
        columns = self.columns(peek)
        for name in (columns or self.layouts[0]).names:
            if peek.fields.count(name) != 1:
                raise InputError(
                    "two columns of that name" if name in peek.fields else "no such column",
                    file=source.path,
                    line=1 if peek.container == "csv" else None,
                    field=name,
                    allowed=f"once among the columns, which are {listed(peek)}",
                )
        if columns is not None:
            read = TABLES[peek.container]
            yield from read(source, columns, skip_zero=self.failed is not None)

    def about(self, source: Source, skipped: int) -> tuple[str, tuple[str, ...]]:
        """Give the file's name, what is not used of it, and how many failures were skipped."""
        notes = [f"{skipped:,} requests skipped: {self.failed}"] if skipped else []
        if self.caveat is not None:
            notes.append(self.caveat)
        return source.path.name, tuple(notes)


def listed(peek: Peek) -> str:
    """Write out the fields of a file, for an error."""
    shown = ", ".join(peek.fields[:20]) or "none"
    return shown if len(peek.fields) <= 20 else f"{shown}, … ({len(peek.fields)} in all)"
