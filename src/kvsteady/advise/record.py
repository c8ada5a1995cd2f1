"""The base of everything that is saved."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True):
    """Base of everything saved: frozen, fields by name; a reader passes over unknown ones."""
