"""What a sweep repeats: a function from a configuration to a record, both plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_type_hints

import msgspec

from kvsteady.errors import InputError, shown
from kvsteady.sweep.fingerprint import fingerprint


@dataclass(frozen=True)
class Task:
    """A function that can be called anywhere its module can be imported.

    Parameters
    ----------
    name
        ``package.module:function``. The function has one parameter, a frozen ``msgspec.Struct`` (a
        point of the sweep), and returns another (its record); both are annotated, and the
        annotations are how stored points are read back. Records are flat where they are to become
        a table.

    Raises
    ------
    InputError
        No such function, or one without those annotations.
    """

    name: str

    def __post_init__(self) -> None:
        for kind in (self.point, self.record):
            if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
                raise InputError(
                    f"{shown(self.name)} does not say what it takes and returns",
                    field="task",
                    allowed="a function from one msgspec.Struct to another, annotated",
                )

    @property
    def function(self) -> Callable[[Any], Any]:
        """The function itself."""
        module, _, name = self.name.partition(":")
        try:
            found: Callable[[Any], Any] = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError):
            raise InputError(
                f"{shown(self.name)} cannot be imported",
                field="task",
                allowed="package.module:function",
            ) from None
        return found

    @property
    def point(self) -> Any:
        """The class of its configurations."""
        hints = get_type_hints(self.function)
        return next((hint for name, hint in hints.items() if name != "return"), None)

    @property
    def record(self) -> Any:
        """The class of its records."""
        return get_type_hints(self.function).get("return")

    def key(self, point: msgspec.Struct) -> str:
        """32 hexadecimal digits for the function, the whole configuration and this very code."""
        whole = [self.name, fingerprint(), msgspec.to_builtins(point)]
        return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).hexdigest()[:32]
