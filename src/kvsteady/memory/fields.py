"""Checked reading of a config.json: each value has its type and range, or one line says why."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import NoReturn

from kvsteady.errors import InputError, shown

#: Largest count a field may hold unless its reader says otherwise.
MAX_COUNT = 2**24
_MAX_FILE_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Fields:
    """The fields of one JSON object, with where they came from.

    Parameters
    ----------
    values
        The decoded JSON object.
    file
        Path of the file, if it was a file.
    text
        The file's text, to find the line of a bad field.
    prefix
        Where the object sits in the file: ``""`` or ``"text_config."``.
    """

    values: Mapping[str, object]
    file: str | None = None
    text: str | None = None
    prefix: str = ""

    def error(self, problem: str, field: str, allowed: str | None = None) -> InputError:
        """Build the error for a field, with its line where the name occurs once in the file."""
        line = None
        if self.text is not None:
            places = [
                found.start() for found in re.finditer(rf'"{re.escape(field)}"\s*:', self.text)
            ]
            if len(places) == 1:
                line = self.text.count("\n", 0, places[0]) + 1
        return InputError(
            problem, file=self.file, line=line, field=self.prefix + field, allowed=allowed
        )

    def absent(self, name: str) -> bool:
        """Whether the file leaves the field out (``null`` is not absent)."""
        return name not in self.values

    def count(
        self, *names: str, default: int | None = None, low: int = 1, high: int = MAX_COUNT
    ) -> int:
        """Whole number under the first of ``names`` that is present and not null."""
        found = self.optional_count(*names, default=default, low=low, high=high)
        if found is None:
            also = "" if len(names) == 1 else f" (also sought: {', '.join(names[1:])})"
            raise self.error(f"is missing{also}", names[0], f"whole number, {low} to {high}")
        return found

    def optional_count(
        self, *names: str, default: int | None = None, low: int = 1, high: int = MAX_COUNT
    ) -> int | None:
        """Like `count`, but ``None`` when there is neither a value nor a default."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise self.error(
                    f"{shown(value)} is not usable", name, f"whole number, {low} to {high}"
                )
            return value
        return default

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false; ``default`` when absent or null."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(f"{shown(value)} is not usable", name, "true, false")
        return value

    def name(self, *names: str) -> str | None:
        """Text under the first of ``names`` that is present and not null."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if not isinstance(value, str):
                raise self.error(f"{shown(value)} is not text", name)
            return value
        return None

    def names(self, name: str) -> tuple[str, ...] | None:
        """Return a list of text, or ``None`` when absent or null."""
        items = self._list(name)
        if items is None:
            return None
        words = tuple(item for item in items if isinstance(item, str))
        if len(words) != len(items):
            raise self.error("must be a list of text", name)
        return words

    def counts(self, name: str, *, high: int = MAX_COUNT) -> tuple[int, ...] | None:
        """Return a list of whole numbers from 0, or ``None`` when absent or null."""
        items = self._list(name)
        if items is None:
            return None
        numbers = tuple(
            item
            for item in items
            if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= high
        )
        if len(numbers) != len(items):
            raise self.error("is not usable", name, f"list of whole numbers, 0 to {high}")
        return numbers

    def child(self, name: str) -> Fields | None:
        """Return the object nested under ``name``, or ``None`` when absent or null."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(f"{shown(value)} is not a JSON object", name)
        return Fields(value, self.file, self.text, f"{self.prefix}{name}.")

    def _list(self, name: str) -> list[object] | tuple[object, ...] | None:
        value = self.values.get(name)
        if value is None or isinstance(value, list | tuple):
            return value
        raise self.error(f"{shown(value)} is not a list", name)


def read_fields(source: str | PathLike[str] | Mapping[str, object]) -> Fields:
    """Read a JSON object from a file, a directory's config.json, or a mapping.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8 JSON (with the line), or is not an object.
    """
    if isinstance(source, Mapping):
        return Fields(source)
    if not isinstance(source, str | PathLike):
        raise InputError(f"{shown(source)} is not a path or a mapping", field="config")
    path = Path(fspath(source))
    text = _text(path / "config.json" if path.is_dir() else path)
    file = fspath(path / "config.json" if path.is_dir() else path)

    def refuse(constant: str) -> NoReturn:
        line = text.count("\n", 0, text.find(constant)) + 1
        raise InputError(f"{constant} is not JSON", file=file, line=line)

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON: {error.msg}, column {error.colno}", file=file, line=error.lineno
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        # json leaves integers of more than 4300 digits, and very deep nesting, to Python itself.
        raise InputError(
            "not usable JSON: a number too long or nesting too deep", file=file
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{shown(value)} is not a JSON object", file=file, line=1)
    return Fields(value, file, text)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        # ValueError: a NUL byte in the path.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot be read: {reason}", file=path) from error
    if len(data) > _MAX_FILE_BYTES:
        raise InputError("is larger than 256 MiB: not a config.json", file=path)
    if not data.strip():
        raise InputError("is empty", file=path, line=1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text: is it a binary file?", file=path, line=line) from error
