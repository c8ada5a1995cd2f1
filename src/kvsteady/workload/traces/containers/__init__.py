"""The kinds of file that hold a table of requests: each knows its syntax and no format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from kvsteady.workload.traces.checks import Batch
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.containers import csv, json_list, jsonl, parquet
from kvsteady.workload.traces.source import Source


class ReadTable(Protocol):
    """Reads the named columns of one kind of file."""

    def __call__(self, source: Source, columns: Columns, *, skip_zero: bool) -> Iterator[Batch]:
        """Yield checked batches; with ``skip_zero`` an output of 0 is a failed request.

        Raises
        ------
        InputError
            The file or a cell cannot be used.
        Doubt
            Only where ``source.plain`` is False: something to be settled by a plain reading.
        """


TABLES: Mapping[str, ReadTable] = MappingProxyType(
    {
        "csv": csv.batches,
        "jsonl": jsonl.batches,
        "json": json_list.batches,
        "parquet": parquet.batches,
    }
)
