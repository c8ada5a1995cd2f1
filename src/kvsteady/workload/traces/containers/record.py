"""One record of JSON: the names of its fields, and the cells behind wanted names."""

from __future__ import annotations

from collections.abc import Iterator

from kvsteady.errors import InputError
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.source import Source

_MISSING = object()
_DEPTH = 3


def field_names(record: object, depth: int = _DEPTH) -> Iterator[str]:
    """Names under which the values of a record can be asked for."""
    if isinstance(record, dict):
        for name, value in record.items():
            yield str(name)
            if depth > 1 and isinstance(value, dict):
                yield from (f"{name}.{inner}" for inner in field_names(value, depth - 1))
    elif isinstance(record, list):
        yield from map(str, range(len(record)))


def cells(
    record: object, columns: Columns, line: int, source: Source
) -> tuple[object, object, object]:
    """Prompt, output and time of a record.

    Raises
    ------
    InputError
        The record is neither an object nor a list, or lacks a field.
    """
    if not isinstance(record, dict | list):
        raise InputError(
            f"the record is a {type(record).__name__}",
            file=source.path,
            line=line,
            allowed="an object with named fields",
        )
    found = [_cell(record, name) for name in columns.names]
    for name, value in zip(columns.names, found, strict=True):
        if value is _MISSING:
            raise InputError(
                "the record lacks this field",
                file=source.path,
                line=line,
                field=name,
                allowed=f"fields here: {', '.join(field_names(record)) or 'none'}",
            )
    prompt, output, *timed = found
    return prompt, output, timed[0] if timed else None


def _cell(record: object, name: str) -> object:
    if isinstance(record, list):
        return record[int(name)] if name.isdecimal() and int(name) < len(record) else _MISSING
    if not isinstance(record, dict):
        return _MISSING
    if name in record:
        return record[name]
    outer, dot, inner = name.partition(".")
    return _cell(record[outer], inner) if dot and outer in record else _MISSING
