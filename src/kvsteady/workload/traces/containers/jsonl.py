"""JSON Lines: one record per line."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

import msgspec
import numpy as np

from kvsteady.errors import InputError
from kvsteady.workload.traces.checks import (
    Batch,
    Row,
    checked_arrays,
    checked_rows,
    seconds_reader,
)
from kvsteady.workload.traces.columns import PER_SECOND, Columns
from kvsteady.workload.traces.containers.record import cells
from kvsteady.workload.traces.source import Doubt, Source


def batches(source: Source, columns: Columns, *, skip_zero: bool) -> Iterator[Batch]:
    """Read JSON Lines: typed, and record by record where the types do not hold."""
    # Fields within fields and records that are lists have no type here.
    nested = any("." in name or name.isdecimal() for name in columns.names)
    if source.plain or nested:
        rows = _rows(source, columns)
        yield from checked_rows(rows, columns, source.path, skip_zero=skip_zero)
    else:
        yield from _fast(source, columns, skip_zero)


def _rows(source: Source, columns: Columns) -> Iterator[Row]:
    before = 0
    for block in source.blocks():
        lines = block.splitlines()
        for number, line in enumerate(lines, before + 1):
            if line.strip():
                yield number, *cells(_record(line, number, source), columns, number, source)
        before += len(lines)


def _record(line: bytes, number: int, source: Source) -> object:
    try:
        record: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"broken JSON: {error}", file=source.path, line=number) from None
    return record


def _fast(source: Source, columns: Columns, skip_zero: bool) -> Iterator[Batch]:
    in_words = columns.time_unit == "iso"
    keys = {"prompt": columns.prompt, "output": columns.output}
    types: list[tuple[str, type]] = [("prompt", float), ("output", float)]
    if columns.time is not None:
        keys["time"] = columns.time
        types.append(("time", str if in_words else float))
    record = msgspec.defstruct("Record", types, rename=keys, gc=False)
    # Not decode_lines: it also takes two records on a line and one record on two.
    decode = msgspec.json.Decoder(record).decode
    for block in source.blocks():
        try:
            rows = [decode(line) for line in block.splitlines() if line.strip()]
            seconds = None
            if columns.time is not None:
                times = map(attrgetter("time"), rows)
                if in_words:
                    seconds = np.array([*map(seconds_reader("iso"), times)], dtype=np.float64)
                else:
                    seconds = np.array([*times], dtype=np.float64) / PER_SECOND[columns.time_unit]
        except (msgspec.DecodeError, RecursionError, ValueError):
            raise Doubt from None
        yield checked_arrays(
            np.array([*map(attrgetter("prompt"), rows)], dtype=np.float64),
            np.array([*map(attrgetter("output"), rows)], dtype=np.float64),
            seconds,
            skip_zero=skip_zero,
        )
