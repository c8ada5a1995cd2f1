"""Read back what was saved, whichever command saved it."""

from __future__ import annotations

from typing import Any

import msgspec

from kvsteady.advise.analysis import Analysis, load_analysis
from kvsteady.advise.tuning.record import Tuning, load_tuning


class _Either(msgspec.Struct):
    front_runner: Any = msgspec.UNSET  # only a tuning has one, or null


def load_saved(data: bytes, *, file: str | None = None) -> Analysis | Tuning:
    """Read back JSON of an `Analysis` or of a `Tuning`.

    Raises
    ------
    InputError
        Neither, of another schema version, or a field missing or of the wrong type.
    """
    try:
        tuned = msgspec.json.decode(data, type=_Either).front_runner is not msgspec.UNSET
    except (msgspec.DecodeError, UnicodeDecodeError):
        tuned = False
    return load_tuning(data, file=file) if tuned else load_analysis(data, file=file)
