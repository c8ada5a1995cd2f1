"""What a request may look like: one reading for a cell, one for whole arrays of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError, shown
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT, OUTPUT_RANGE, PROMPT_RANGE
from kvsteady.workload.traces.columns import PER_SECOND, Columns
from kvsteady.workload.traces.source import Doubt

BATCH_ROWS = 2**16
# Far beyond any clock, and small enough that a difference of two times stays finite.
MAX_SECONDS = 1e12
ISO_PATTERN = (
    r"^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?"
    r"(?:Z|([+-])(\d{2}):?(\d{2}))?$"
)
_ISO = re.compile(ISO_PATTERN, re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[int, object, object, object]
"""Line (row in Parquet) from 1, then the prompt, output and time cells as they were found."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive requests whose values have been checked.

    Attributes
    ----------
    prompt, output
        Tokens, shape ``(n,)``.
    seconds
        Arrival times, shape ``(n,)``, or None where the format has none.
    skipped
        Failed requests left out of this batch.
    """

    prompt: npt.NDArray[np.int32]
    output: npt.NDArray[np.int32]
    seconds: FloatArray | None = None
    skipped: int = 0


def length(value: object, low: int, high: int) -> int:
    """Read a whole number of tokens; ValueError says in words what is wrong."""
    number = _number(value)
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{shown(value)} is not finite")
    if not low <= number <= high:
        raise ValueError(f"{shown(value)} is out of range")
    if number != int(number):
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(number)


def seconds_reader(unit: str) -> Callable[[object], float]:
    """How to read one time cell as seconds; what it returns raises ValueError as `length`."""
    if unit == "iso":
        return _iso_seconds
    per_second = PER_SECOND[unit]

    def read(value: object) -> float:
        try:
            seconds = float(_number(value)) / per_second
        except OverflowError:
            seconds = math.inf
        if not abs(seconds) <= MAX_SECONDS:
            raise ValueError(f"{shown(value)} is out of range")
        return seconds

    return read


def time_range(unit: str) -> str:
    """Say which times `seconds_reader` takes."""
    if unit == "iso":
        return "a date and time such as 2023-11-16 18:15:46.68, with +00:00 or without"
    return f"a finite number in {unit}, at most {MAX_SECONDS:.0e} s from zero"


def checked_rows(
    rows: Iterable[Row], columns: Columns, file: Path, *, skip_zero: bool = False
) -> Iterator[Batch]:
    """Check row by row and gather batches: the authority on what is valid.

    Raises
    ------
    InputError
        At the first cell that cannot be used.
    """
    seconds = seconds_reader(columns.time_unit)
    lowest = 0 if skip_zero else 1
    prompts: list[int] = []
    outputs: list[int] = []
    times: list[float] = []
    skipped = 0

    def batch() -> Batch:
        return Batch(
            np.array(prompts, dtype=np.int32),
            np.array(outputs, dtype=np.int32),
            None if columns.time is None else np.array(times, dtype=np.float64),
            skipped,
        )

    for line, prompt, output, time in rows:
        field, allowed = columns.prompt, PROMPT_RANGE
        try:
            tokens_in = length(prompt, 0, MAX_PROMPT)
            field, allowed = columns.output, OUTPUT_RANGE
            tokens_out = length(output, lowest, MAX_OUTPUT)
            if columns.time is not None:
                field, allowed = columns.time, time_range(columns.time_unit)
                when = seconds(time)
        except ValueError as error:
            raise InputError(
                str(error), file=file, line=line, field=field, allowed=allowed
            ) from None
        if not tokens_out:
            skipped += 1
            continue
        prompts.append(tokens_in)
        outputs.append(tokens_out)
        if columns.time is not None:
            times.append(when)
        if len(prompts) == BATCH_ROWS:
            yield batch()
            prompts, outputs, times, skipped = [], [], [], 0
    if prompts or skipped:
        yield batch()


def checked_arrays(
    prompt: FloatArray, output: FloatArray, seconds: FloatArray | None, *, skip_zero: bool = False
) -> Batch:
    """Check whole columns, all cells at once.

    Raises
    ------
    Doubt
        Where `checked_rows` would not take every row.
    """
    lowest = 0 if skip_zero else 1
    # Written so that a NaN fails every comparison.
    fits = (prompt >= 0) & (prompt <= MAX_PROMPT) & (output >= lowest) & (output <= MAX_OUTPUT)
    if seconds is not None:
        fits &= np.abs(seconds) <= MAX_SECONDS
    if not fits.all():
        raise Doubt
    tokens_in, tokens_out = prompt.astype(np.int32), output.astype(np.int32)
    if not (np.array_equal(tokens_in, prompt) and np.array_equal(tokens_out, output)):
        raise Doubt
    if skip_zero and not tokens_out.all():
        kept = tokens_out > 0
        times = None if seconds is None else seconds[kept]
        return Batch(tokens_in[kept], tokens_out[kept], times, int((~kept).sum()))
    return Batch(tokens_in, tokens_out, seconds)


def _number(value: object) -> int | float:
    if isinstance(value, str):
        text = value.strip(" \t")
        if not text:
            raise ValueError("the cell is empty")
        # float() would also take 1_000 and the digits of every script.
        if "_" not in text and text.isascii():
            try:
                return float(text)
            except ValueError:
                pass
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return value
    elif isinstance(value, Decimal):
        return float(value)
    elif value is None:
        raise ValueError("the cell is empty")
    raise ValueError(f"{shown(value)} is not a number")


def _iso_seconds(value: object) -> float:
    match = _ISO.fullmatch(value.strip(" \t")) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a date and time")
    *date, fraction, sign, hours, minutes = match.groups()
    try:
        since = datetime(*map(int, date), tzinfo=UTC) - _EPOCH  # type: ignore[misc,arg-type]  # six fields by the pattern
    except ValueError:
        raise ValueError(f"{shown(value)} is not a date and time") from None
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError(f"{shown(value)} has an impossible offset")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        since += offset if sign == "-" else -offset
    whole = (since.days * 86_400 + since.seconds) * 10**9
    # Nanoseconds are rounded to a float before the division, as the array reading does it.
    return float(whole + int((fraction or "").ljust(9, "0"))) / 1e9
