"""Findings as they land, so that a killed run goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvsteady.errors import InputError
from kvsteady.files import write_whole
from kvsteady.reproduce.finding import Finding
from kvsteady.sweep.fingerprint import fingerprint


class Store:
    """A folder with one file per finding, named after the claim and the code that measured it.

    Change a line of kvsteady and everything is measured again: a stale number is worse than a
    slow run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InputError("is no folder", file=folder) from None
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror or error}", file=folder) from None

    def get(self, key: str) -> Finding | None:
        """Return the finding if this very code measured it; a damaged file counts as none."""
        try:
            return msgspec.json.decode(self._place(key).read_bytes(), type=Finding)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def put(self, finding: Finding) -> None:
        """Keep a finding; the file appears whole or not at all."""
        place = self._place(finding.key)
        try:
            for old in self._folder.glob(f"{finding.key}.*.json"):
                if old != place:
                    old.unlink(missing_ok=True)
            write_whole(place, msgspec.json.format(msgspec.json.encode(finding)))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", file=place) from None

    def _place(self, key: str) -> Path:
        return self._folder / f"{key}.{fingerprint()}.json"
