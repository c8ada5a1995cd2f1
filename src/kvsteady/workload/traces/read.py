"""From a file to the law of its lengths."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from kvsteady.errors import InputError, shown
from kvsteady.progress import Progress, silent
from kvsteady.workload.law import Workload
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TraceFormat, listed
from kvsteady.workload.traces.formats import FORMATS
from kvsteady.workload.traces.formats.generic import GENERIC
from kvsteady.workload.traces.peek import Peek, peek
from kvsteady.workload.traces.source import Doubt, Source
from kvsteady.workload.traces.tally import Record, Tally


def read_trace(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    columns: Columns | None = None,
    progress: Progress = silent,
) -> Workload:
    """Read recorded requests as a workload, in memory that does not grow with the file.

    Parameters
    ----------
    path
        A file, gzipped or not, or the folder of a recorded vLLM run.
    format
        A key of `FORMATS`; without it the format is recognised from the content.
    columns
        Which columns to read, for a CSV, JSONL, JSON or Parquet table of no known format.
    progress
        Called once per batch with the bytes read and the bytes on disk.

    Returns
    -------
    Workload
        Random draws from the pairs counted, with the arrivals (in seconds since the first) where
        the format records them. Its notes tell what was skipped, rounded or left out.

    Raises
    ------
    InputError
        The file cannot be read, is of no known format, or holds a cell that cannot be used;
        it names the file, the line (the row in Parquet) and the field.
    MissingExtraError
        The file is Parquet and pyarrow is not installed.
    """
    return read_source(Source(Path(path), progress), format, columns)


def read_source(
    source: Source, format: str | None = None, columns: Columns | None = None
) -> Workload:
    """Read as `read_trace` does; a source with ``plain`` True has no fast path."""
    first = peek(source)
    chosen = _chosen(source, first, format, columns)
    # A fast reading that met doubts has ended, with what it held, before the plain one begins.
    taken = _take(chosen, source, first) or _take(chosen, source.plainly(), first)
    if taken is None:  # pragma: no cover - only a format that breaks its contract gets here
        raise InputError("cannot be read", file=source.path)
    tally, record, skipped = taken
    if not tally.requests:
        skips = f": all {skipped:,} are failed" if skipped else ""
        raise InputError(
            f"no request in it{skips}", file=source.path, allowed="one request or more"
        )
    name, notes = chosen.about(source, skipped)
    notes = (*notes, *tally.note(), *record.note())
    arrivals = record.arrivals()
    pairs = tally.pairs()
    return Workload.from_counts(*pairs, arrivals=arrivals, random=True, name=name, notes=notes)


def recognise(path: str | PathLike[str]) -> TraceFormat:
    """Tell the format of a file from its content.

    Raises
    ------
    InputError
        The file cannot be read, or no format has its columns.
    """
    source = Source(Path(path))
    return _recognised(source, peek(source))


class _Taken(NamedTuple):
    tally: Tally
    record: Record
    skipped: int


def _recognised(source: Source, first: Peek) -> TraceFormat:
    for each in FORMATS.values():
        if each.recognises(first):
            return each
    raise InputError(
        f"not recognised; it has the columns {listed(first)}",
        file=source.path,
        allowed=f"the formats {', '.join(FORMATS)}; "
        "for any other table name its columns: --columns prompt=A,output=B,time=C",
    )


def _chosen(
    source: Source, first: Peek, format: str | None, columns: Columns | None
) -> TraceFormat:
    if format is not None and format not in FORMATS:
        raise InputError(
            f"{shown(format)} is no format", field="format", allowed=", ".join(FORMATS)
        )
    if columns is None:
        return _recognised(source, first) if format is None else FORMATS[format]
    for each in GENERIC:
        if format == each.name or (format is None and first.container in each.containers):
            return replace(each, layouts=(columns,))
    raise InputError(
        f"columns cannot be named in a {format or first.container} file",
        file=source.path,
        field="columns",
        allowed=f"with the formats {', '.join(each.name for each in GENERIC)}",
    )


def _take(chosen: TraceFormat, source: Source, first: Peek) -> _Taken | None:
    """Count the whole file; None where a fast path has doubts."""
    tally, record, skipped = Tally(), Record(), 0
    try:
        with closing(chosen.batches(source, first)) as batches:
            for batch in batches:
                tally.add(batch)
                record.add(batch)
                skipped += batch.skipped
                source.report()
    except Doubt:
        return None
    return _Taken(tally, record, skipped)
