"""Optional libraries, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kvsteady.errors import MissingExtraError


def import_extra(module: str, *, extra: str) -> Any:
    """Import ``module``, or raise `MissingExtraError` naming the extra that brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] == library:
            raise MissingExtraError(library, extra) from None
        raise
