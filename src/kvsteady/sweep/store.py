"""Records as they land, one small file each, so that a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.files import write_whole
from kvsteady.sweep.fingerprint import fingerprint
from kvsteady.sweep.task import Task


class _File(msgspec.Struct):
    task: str
    fingerprint: str
    point: msgspec.Raw
    record: msgspec.Raw


class Store:
    """A folder with a file per finished point, named by `Task.key`.

    A file appears whole or not at all, and the same point always goes to the same file: whoever
    writes it twice leaves one. Files of other tasks, and of other versions of the code, may lie in
    the folder too and are left alone.

    Raises
    ------
    InputError
        The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InputError("is no folder", file=folder) from None
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror or error}", file=folder) from None

    def get(self, task: Task, point: msgspec.Struct) -> Any:
        """Return the record if this very code measured it, else None; a damaged file is none."""
        try:
            data = (self.folder / f"{task.key(point)}.json").read_bytes()
            return msgspec.json.decode(
                msgspec.json.decode(data, type=_File).record, type=task.record
            )
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def put(self, task: Task, point: msgspec.Struct, record: msgspec.Struct) -> None:
        """Keep a record.

        Raises
        ------
        InputError
            It cannot be written.
        """
        place = self.folder / f"{task.key(point)}.json"
        kept = _File(
            task.name,
            fingerprint(),
            msgspec.Raw(msgspec.json.encode(point)),
            msgspec.Raw(msgspec.json.encode(record)),
        )
        try:
            write_whole(place, msgspec.json.encode(kept))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", file=place) from None

    def rows(self, task: Task) -> Iterator[tuple[Any, Any]]:
        """Each finished (point, record) of a task by this very code, in the order of the keys."""
        for place in sorted(self.folder.glob("*.json")):
            try:
                kept = msgspec.json.decode(place.read_bytes(), type=_File)
                if (kept.task, kept.fingerprint) == (task.name, fingerprint()):
                    yield (
                        msgspec.json.decode(kept.point, type=task.point),
                        msgspec.json.decode(kept.record, type=task.record),
                    )
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                continue

    def table(self, task: Task) -> Any:
        """The finished points as a ``pyarrow.Table``: a row each, the fields of point and record as
        columns (a field with parts as JSON text; a record's field whose name the point has too
        with ``record_`` before it).

        Raises
        ------
        MissingExtraError
            Arrow (``kvsteady[traces]``) is not installed.
        """
        arrow = import_extra("pyarrow", extra="traces")
        taken = set(task.point.__struct_fields__)
        rows = []
        for point, record in self.rows(task):
            own = {name: _flat(getattr(point, name)) for name in point.__struct_fields__}
            for name in record.__struct_fields__:
                column = f"record_{name}" if name in taken else name
                own[column] = _flat(getattr(record, name))
            rows.append(own)
        return arrow.Table.from_pylist(rows)

    def write_parquet(self, task: Task, file: Path) -> None:
        """Write `Store.table` as one Parquet file, which DuckDB, pandas and others read.

        Raises
        ------
        MissingExtraError
            Arrow (``kvsteady[traces]``) is not installed.
        InputError
            It cannot be written.
        """
        parquet = import_extra("pyarrow.parquet", extra="traces")
        arrow = import_extra("pyarrow", extra="traces")
        sink = arrow.BufferOutputStream()
        parquet.write_table(self.table(task), sink)
        try:
            write_whole(file, sink.getvalue().to_pybytes())
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", file=file) from None


def _flat(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return msgspec.json.encode(value).decode()
