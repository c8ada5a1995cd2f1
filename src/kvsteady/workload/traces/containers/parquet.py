"""Apache Parquet; needs pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError, KvsteadyError
from kvsteady.extras import import_extra
from kvsteady.workload.traces.checks import BATCH_ROWS, Batch, Row, checked_arrays, checked_rows
from kvsteady.workload.traces.columns import PER_SECOND, Columns
from kvsteady.workload.traces.source import Doubt, Source

T = TypeVar("T")


def batches(source: Source, columns: Columns, *, skip_zero: bool) -> Iterator[Batch]:
    """Read a Parquet file; lines of errors are rows from 1."""
    arrow = import_extra("pyarrow", extra="traces")

    def numbers(part: Any) -> Batch:
        prompt, output, *timed = (part.column(name) for name in columns.names)
        seconds = _seconds(timed[0], columns.time_unit, arrow) if timed else None
        return checked_arrays(
            _numbers(prompt, arrow), _numbers(output, arrow), seconds, skip_zero=skip_zero
        )

    if not source.plain:
        yield from _parts(source, columns, numbers)
        return
    if columns.time is not None and arrow.types.is_timestamp(_type(source, columns.time)):
        columns = replace(columns, time_unit="iso")
    yield from checked_rows(
        _rows(source, columns, arrow), columns, source.path, skip_zero=skip_zero
    )


def column_names(source: Source) -> tuple[str, ...]:
    """List the columns of a Parquet file."""
    with _opened(source) as file:
        return tuple(file.schema_arrow.names)


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    parquet = import_extra("pyarrow.parquet", extra="traces")
    with source.failures(), source.path.open("rb") as raw:
        try:
            # A buffer: otherwise whole column chunks are held, which can be the whole file.
            file = parquet.ParquetFile(raw, buffer_size=2**20, pre_buffer=False)
            yield file
        except (KvsteadyError, Doubt):
            raise
        except Exception as error:
            # On a damaged file pyarrow raises nearly anything, UnicodeDecodeError included.
            problem = f"damaged Parquet: {error}"
            raise InputError(problem, file=source.path) from None


def _type(source: Source, name: str) -> Any:
    with _opened(source) as file:
        return file.schema_arrow.field(name).type


def _parts(source: Source, columns: Columns, convert: Callable[[Any], T]) -> Iterator[T]:
    """Pieces of the wanted columns, converted while the file's failures are caught."""
    with _opened(source) as file:
        done, total = 0, max(1, file.metadata.num_rows)
        for part in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns.names)):
            done += part.num_rows
            source.reached(done / total)
            yield convert(part)


def _numbers(column: Any, arrow: Any) -> FloatArray:
    kind = column.type
    if column.null_count or not (arrow.types.is_integer(kind) or arrow.types.is_floating(kind)):
        raise Doubt
    # Unsafe: whole numbers above 2^53 are rounded, and are out of range anyway.
    numbers: FloatArray = column.cast(arrow.float64(), safe=False).to_numpy()
    return numbers


def _seconds(column: Any, unit: str, arrow: Any) -> FloatArray:
    if arrow.types.is_timestamp(column.type):  # which knows its unit
        return _numbers(column.cast(arrow.timestamp("ns")).cast(arrow.int64()), arrow) / 1e9
    if unit == "iso":
        raise Doubt
    return _numbers(column, arrow) / PER_SECOND[unit]


def _rows(source: Source, columns: Columns, arrow: Any) -> Iterator[Row]:
    def cells(column: Any) -> list[object]:
        if arrow.types.is_timestamp(column.type):  # Python's datetime stops at microseconds
            column = column.cast(arrow.timestamp("ns", tz=column.type.tz)).cast(arrow.string())
        values: list[object] = column.to_pylist()
        return values

    def lists(part: Any) -> list[list[object]]:
        return [cells(part.column(name)) for name in columns.names]

    row = 0
    for prompts, outputs, *timed in _parts(source, columns, lists):
        for prompt, output, time in zip(
            prompts, outputs, timed[0] if timed else prompts, strict=True
        ):
            row += 1
            yield row, prompt, output, time
