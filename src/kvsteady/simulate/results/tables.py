"""Records as Arrow tables, and as Parquet files that are whole or not there."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.simulate.records import REJECTED

#: Rows of a row group.
GROUP = 1 << 17

_STATUS = np.array(["completed", "rejected"])


def request_columns(rows: Any, replica: int) -> dict[str, Any]:
    """Columns of ``requests.parquet``, from `records.LEFT` rows.

    Times are seconds; NaN stands for what did not happen (rejected requests have no token).
    """
    late = rows["status"] == REJECTED
    first = np.where(rows["first_token"] < 0, np.nan, rows["first_token"])
    scheduled = np.where(rows["scheduled"] < 0, np.nan, rows["scheduled"])
    finish = np.where(late, np.nan, rows["finish"])
    gaps = np.maximum(rows["output"] - 1, 1)
    return {
        "id": rows["id"],
        "replica": np.full(rows.size, replica),
        "class": rows["kind"],
        "session": rows["session"],
        "status": _STATUS[rows["status"]],
        "prompt_tokens": rows["prompt"],
        "generation_tokens": np.where(late, 0, rows["output"]),
        "arrival": rows["arrival"],
        "scheduled": scheduled,
        "first_token": first,
        "finish": finish,
        "time_to_first_token_seconds": first - rows["arrival"],
        "time_per_output_token_seconds": (finish - first) / gaps,
        "e2e_request_latency_seconds": finish - rows["arrival"],
        "request_queue_time_seconds": scheduled - rows["arrival"],
        "num_preemptions": rows["preemptions"],
        "recomputed_tokens": rows["recomputed"],
        "cached_tokens": rows["hit"],
    }


def iteration_columns(rows: Any, replica: int, blocks: int) -> dict[str, Any]:
    """Columns of ``iterations.parquet``, from `records.ITERATION` rows; see there."""
    return {
        "replica": np.full(rows.size, replica),
        "iteration": rows["iteration"],
        "start": rows["start"],
        "seconds": rows["seconds"],
        "num_requests_running": rows["running"],
        "num_requests_waiting": rows["waiting"],
        "admitted": rows["admitted"],
        "num_preemptions": rows["preempted"],
        "completed": rows["completed"],
        "prefill_tokens": rows["prefill_tokens"],
        "decode_tokens": rows["decode_tokens"],
        "recomputed_tokens": rows["recomputed_tokens"],
        "kv_read_tokens": rows["kv_read"],
        "free_blocks": rows["free_blocks"],
        "kv_cache_usage_perc": 1 - rows["free_blocks"] / blocks,
    }


class ParquetFile:
    """A Parquet file that appears when it is closed, with complete row groups.

    Use as a context manager: when the body ends, however it ends, what was added is written and
    the file gets its name; its metadata say in ``kvsteady.complete`` whether the body ended well.
    Where a body that failed had added nothing, there is no file (an older one stays). A process
    that is killed leaves no file but a temporary one, ``.*.kvsteady-tmp``.

    Parameters
    ----------
    path
        Where to; its folder exists.
    group
        Rows per row group.

    Raises
    ------
    InputError
        It cannot be written.
    MissingExtraError
        pyarrow is not installed (``kvsteady[traces]``).
    """

    def __init__(self, path: Path, group: int = GROUP) -> None:
        self._arrow = import_extra("pyarrow", extra="traces")
        self._parquet = import_extra("pyarrow.parquet", extra="traces")
        self.path, self._group = path, group
        self._temporary = path.with_name(f".{secrets.token_hex(8)}.kvsteady-tmp")
        self._writer: Any = None
        self._tables: list[Any] = []
        self._rows = self._written = 0

    def add(self, columns: dict[str, Any]) -> None:
        """Add rows; full row groups are written."""
        with _undisturbed():
            table = self._arrow.table(columns)
            self._tables.append(table)
            self._rows += table.num_rows
            while self._rows >= self._group:
                self._write(self._group)

    def _write(self, rows: int) -> None:
        """Write the first rows as a row group."""
        whole = self._arrow.concat_tables(self._tables)
        self._tables = [whole.slice(rows)]
        self._rows -= min(rows, self._rows)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(
                str(self._temporary), whole.schema, compression="zstd"
            )
        self._writer.write_table(whole.slice(0, rows), row_group_size=self._group)
        self._written += min(rows, whole.num_rows)

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _undisturbed():
            self._finish(kind)

    def _finish(self, kind: type[BaseException] | None) -> None:
        try:
            if self._tables and (kind is None or self._rows):
                self._write(max(self._rows, 1))
            if self._writer is None or (kind is not None and not self._written):
                return
            complete = b"false" if kind is not None else b"true"
            if hasattr(self._writer, "add_key_value_metadata"):  # pyarrow 17
                self._writer.add_key_value_metadata({b"kvsteady.complete": complete})
            self._writer.close()
            self._temporary.replace(self.path)
        except OSError as failure:
            if kind is None:
                reason = failure.strerror or str(failure)
                raise InputError(f"cannot be written: {reason}", file=self.path) from failure
        finally:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let an interrupt (Ctrl-C) wait until the body has ended, where there can be one."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, or not Python's
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            before(*waiting[0])
