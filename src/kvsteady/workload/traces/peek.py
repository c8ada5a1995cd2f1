"""A first look at a file: what kind it is, and what its columns or fields are called."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import msgspec

from kvsteady.errors import InputError
from kvsteady.workload.traces.containers import csv, json_stream, parquet
from kvsteady.workload.traces.containers.record import field_names
from kvsteady.workload.traces.source import GZIP_MAGIC, PARQUET_MAGIC, Source

# Items of a JSON object looked at for its keys: many lists stand behind each other there.
_ITEMS = 1_000


@dataclass(frozen=True)
class Peek:
    """What a format is recognised by.

    Attributes
    ----------
    container
        ``csv``, ``jsonl``, ``json`` (one list of records), ``json-object``, ``parquet`` or
        ``folder``.
    fields
        Column names, the fields of the first record, the first keys of the object, or the files
        in the folder. Fields within fields are ``outer.inner``; items of a list ``0``, ``1``, ….
    record
        The first record of ``jsonl`` and ``json``.
    """

    container: str
    fields: tuple[str, ...]
    record: object = None


def peek(source: Source) -> Peek:
    """Look at the start of a file, unpacked where it is gzipped.

    Raises
    ------
    InputError
        It cannot be read, is empty, or starts as none of the kinds.
    """
    with source.failures():
        if source.path.is_dir():
            return Peek("folder", tuple(sorted(entry.name for entry in source.path.iterdir())))
    magic = source.magic()
    if magic == PARQUET_MAGIC:
        return Peek("parquet", parquet.column_names(source))
    with closing(source.chunks()) as chunks:
        head = next(chunks, b"")
    # The chunk was checked to be UTF-8; only a character cut at its end is left out here.
    text = head.decode("utf-8", errors="ignore")
    start = text.lstrip(" \t\r\n")[:4]
    if not start:
        raise InputError("the file is empty", file=source.path)
    if magic.startswith(GZIP_MAGIC) and start.startswith(PARQUET_MAGIC.decode()):
        raise InputError("Parquet inside gzip: unpack it first", file=source.path)
    if start[0] in "{[":
        return _json(text.lstrip(" \t\r\n"), source)
    return Peek("csv", tuple(csv.header_of(text, source)))


def _json(text: str, source: Source) -> Peek:
    try:
        record = msgspec.json.decode(text.partition("\n")[0])
    except (msgspec.DecodeError, RecursionError):
        record = None
    # A list whose items are no records is itself one: [prompt, output].
    if isinstance(record, dict) or (
        isinstance(record, list) and record and not isinstance(record[0], dict | list)
    ):
        return Peek("jsonl", tuple(field_names(record)), record)
    with closing(json_stream.items(source)) as items:
        first = list(islice(items, 1 if text[0] == "[" else _ITEMS))
    if text[0] == "{":
        return Peek("json-object", tuple(dict.fromkeys(str(key) for key, _, _ in first)))
    if not first:
        raise InputError("no request in it", file=source.path, allowed="one request or more")
    return Peek("json", tuple(field_names(first[0][1])), first[0][1])
