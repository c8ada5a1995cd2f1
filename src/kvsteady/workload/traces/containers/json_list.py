"""A JSON document that is one list of records."""

from __future__ import annotations

from collections.abc import Iterator

from kvsteady.errors import InputError
from kvsteady.workload.traces.checks import Batch, Row, checked_rows
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.containers.json_stream import items
from kvsteady.workload.traces.containers.record import cells
from kvsteady.workload.traces.source import Source


def batches(source: Source, columns: Columns, *, skip_zero: bool) -> Iterator[Batch]:
    """Read a JSON list record by record, without holding it."""
    yield from checked_rows(_rows(source, columns), columns, source.path, skip_zero=skip_zero)


def _rows(source: Source, columns: Columns) -> Iterator[Row]:
    for key, record, line in items(source):
        if key is not None:
            raise InputError(
                "an object, not a list of records", file=source.path, line=line, field=key
            )
        yield line, *cells(record, columns, line, source)
