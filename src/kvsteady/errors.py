"""What can go wrong with what the user gave, said in one line."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any, Final

_PLACES: Final = ("file", "line", "field", "allowed")


class KvsteadyError(Exception):
    """Base of every error that kvsteady raises on purpose; its text is one line for a person."""


class InputError(KvsteadyError, ValueError):
    """An input that cannot be used.

    Parameters
    ----------
    problem
        What is wrong, in words, with the offending value.
    file, line, field
        Where it stands, as far as it is known. Lines count from 1, a CSV header included.
    allowed
        The range or the names that would have been accepted.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | PathLike[str] | None = None,
        line: int | None = None,
        field: str | None = None,
        allowed: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else fspath(file)
        self.line = line
        self.field = field
        self.allowed = allowed
        super().__init__(self._sentence())

    def but(self, **changes: Any) -> InputError:
        """The same with some of its parts said otherwise."""
        parts = {name: changes.get(name, getattr(self, name)) for name in _PLACES}
        return InputError(changes.get("problem", self.problem), **parts)

    def _sentence(self) -> str:
        place = "" if self.file is None else self.file
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        parts = [place] if place else []
        if self.field is not None:
            parts.append(f"field {self.field!r}")
        parts.append(self.problem)
        sentence = ": ".join(parts)
        if self.allowed is not None:
            sentence += f" (allowed: {self.allowed})"
        # One line whatever the input held; `shown` keeps values in it short.
        return " ".join(sentence.split())


class MissingExtraError(KvsteadyError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        self.extra = extra
        super().__init__(
            f"{library} is needed for this and is not installed: pip install 'kvsteady[{extra}]'"
        )


def shown(value: object, limit: int = 40) -> str:
    """``repr`` of a value, cut to ``limit`` characters: a long number must not fill a screen."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return f"a {type(value).__name__} too long to print"
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text)} characters)"
