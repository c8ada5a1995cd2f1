"""Comma-separated values with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from typing import Any

from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.workload.traces.checks import ISO_PATTERN, Batch, Row, checked_arrays, checked_rows
from kvsteady.workload.traces.columns import PER_SECOND, Columns
from kvsteady.workload.traces.source import Doubt, Source


def batches(source: Source, columns: Columns, *, skip_zero: bool) -> Iterator[Batch]:
    """Read a CSV file: with pyarrow where it is installed, cell by cell where not."""
    rows = _records(source)
    line, header = next(rows, (1, []))
    places = _places(_names(header), columns, source)
    if not source.plain:
        try:
            arrow = import_extra("pyarrow", extra="traces")
            reader = import_extra("pyarrow.csv", extra="traces")
        except ImportError:
            pass
        else:
            rows.close()
            if line > 1:
                raise Doubt  # pyarrow skips rows by counting, blank ones before the header too
            yield from _fast(source, columns, places, len(header), skip_zero, arrow, reader)
            return
    yield from checked_rows(
        _cells(rows, len(header), places, source), columns, source.path, skip_zero=skip_zero
    )


def header_of(text: str, source: Source) -> list[str]:
    """Read the first row of the text, which may be cut off anywhere after it."""
    try:
        for row in csv.reader(io.StringIO(text, newline="")):
            if row:
                return _names(row)
    except csv.Error as error:
        raise InputError(f"broken CSV: {error}", file=source.path, line=1) from None
    return []


def _names(row: list[str]) -> list[str]:
    return [name.strip() for name in row]


def _places(names: list[str], columns: Columns, source: Source) -> list[int]:
    try:
        return [names.index(name) for name in columns.names]
    except ValueError:
        # The first look saw these columns: the header is endless, or the file was replaced.
        raise InputError("the header has changed", file=source.path, line=1) from None


def _records(source: Source) -> Generator[tuple[int, list[str]], None, None]:
    """Rows that are not blank, each with the line it starts on."""
    lines = (
        line for block in source.blocks() for line in io.StringIO(block.decode("utf-8"), newline="")
    )
    reader = csv.reader(lines)
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"broken CSV: {error}", file=source.path, line=start) from None


def _cells(
    rows: Iterator[tuple[int, list[str]]], width: int, places: list[int], source: Source
) -> Iterator[Row]:
    prompt, output, *timed = places
    time = timed[0] if timed else prompt
    for line, row in rows:
        if len(row) != width:
            raise InputError(
                f"{len(row)} cells in this row",
                file=source.path,
                line=line,
                allowed=f"{width} cells, as in the header",
            )
        yield line, row[prompt], row[output], row[time]


def _fast(
    source: Source,
    columns: Columns,
    places: list[int],
    width: int,
    skip_zero: bool,
    arrow: Any,
    reader: Any,
) -> Iterator[Batch]:
    names = [str(place) for place in range(width)]
    wanted = [names[place] for place in places]
    types = dict.fromkeys(wanted, arrow.float64())
    if columns.time is not None and columns.time_unit == "iso":
        types[wanted[2]] = arrow.string()
    convert = reader.ConvertOptions(include_columns=wanted, column_types=types, null_values=[])
    skip = 1
    for block in source.blocks():
        quotes = block.count(b'"')
        if quotes % 2:
            raise Doubt  # a quoted cell may reach over the end of the block
        try:
            table = reader.read_csv(
                arrow.BufferReader(block),
                read_options=reader.ReadOptions(column_names=names, skip_rows_after_names=skip),
                parse_options=reader.ParseOptions(newlines_in_values=bool(quotes)),
                convert_options=convert,
            )
            prompt, output, *timed = (table.column(name) for name in wanted)
            seconds = _seconds(timed[0], columns.time_unit, arrow) if timed else None
            prompts, outputs = prompt.to_numpy(), output.to_numpy()
        except (arrow.ArrowException, OSError):
            raise Doubt from None
        skip = 0
        yield checked_arrays(prompts, outputs, seconds, skip_zero=skip_zero)


def _seconds(column: Any, unit: str, arrow: Any) -> Any:
    if unit != "iso":
        return column.to_numpy() / PER_SECOND[unit]
    compute = import_extra("pyarrow.compute", extra="traces")
    # Arrow also takes dates without a time: the pattern of the plain reader decides.
    if not compute.all(compute.match_substring_regex(column, ISO_PATTERN), min_count=0).as_py():
        raise Doubt
    try:
        instants = column.cast(arrow.timestamp("ns"))
    except arrow.ArrowInvalid:
        instants = column.cast(arrow.timestamp("ns", tz="UTC"))
    return instants.cast(arrow.int64()).to_numpy() / 1e9
