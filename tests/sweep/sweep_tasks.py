"""Functions that sweeps call in the tests; each call leaves a file of its own behind."""

from __future__ import annotations

import os
import secrets
import signal
from pathlib import Path

import msgspec


class Square(msgspec.Struct, frozen=True):
    folder: str
    number: int
    how: tuple[str, ...] = ()


class Squared(msgspec.Struct, frozen=True):
    number: int
    square: float | None


def square(point: Square) -> Squared:
    """Note the call; then, as ``how`` says, fail, or wait at a pipe the first time."""
    folder = Path(point.folder)
    (folder / f"call-{point.number}-{secrets.token_hex(4)}").touch()
    if "fail" in point.how:
        raise ValueError(f"point {point.number}")
    if "die" in point.how:
        os.kill(os.getpid(), signal.SIGKILL)
    if "wait" in point.how:
        try:
            (folder / "waited").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            # Says who waits, and waits for ever: nobody ever opens the other end of `never`.
            (folder / "pid").write_text(str(os.getpid()))
            (folder / "here").write_text("here")
            (folder / "never").read_text()
    return Squared(point.number, float(point.number**2))


def untyped(point):
    return point
