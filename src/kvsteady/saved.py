"""What all saved results share: JSON, reading back by version, and a JSON Schema."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, TypeVar

import msgspec

from kvsteady.errors import InputError


class Record(msgspec.Struct, frozen=True):
    """Base of everything saved: frozen, fields by name; a reader passes over unknown ones."""


class Saved(Record, frozen=True):
    """A result as a whole, a file of its own."""

    def to_json(self) -> bytes:
        """One JSON object, indented, in the order of the fields."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


Found = TypeVar("Found")


class _Versioned(msgspec.Struct):
    schema_version: int


def read_saved(
    data: bytes, kind: type[Found], *, version: int, what: str, file: str | None
) -> Found:
    """Read back JSON of a record with a ``schema_version``; ``what`` names it in errors.

    Raises
    ------
    InputError
        Not JSON, of another schema version, or a field missing or of the wrong type.
    """
    try:
        found = msgspec.json.decode(data, type=_Versioned).schema_version
        if found != version:
            raise InputError(f"{found}", file=file, field="schema_version", allowed=f"{version}")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a saved {what}: {error}", file=file) from None


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a record, alike on every Python: docstrings without indentation."""

    def tidy(part: Any) -> Any:
        if isinstance(part, dict):
            return {
                key: cleandoc(value)
                if key == "description" and isinstance(value, str)
                else tidy(value)
                for key, value in part.items()
            }
        return [tidy(item) for item in part] if isinstance(part, list) else part

    schema: dict[str, Any] = tidy(msgspec.json.schema(kind))
    return schema
