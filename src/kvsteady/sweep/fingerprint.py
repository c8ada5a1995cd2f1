"""Which code a number was measured by."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable


@cache
def fingerprint() -> str:
    """16 hexadecimal digits for every file of the package and the libraries that it counts with.

    Change a line of kvsteady and it is another: a stale number is worse than a slow run.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_sources(files("kvsteady"), "")):
        digest.update(name.encode() + b"\0" + source + b"\0")
    for library in ("numpy", "numba", "python-flint"):
        with suppress(PackageNotFoundError):
            digest.update(f"{library} {version(library)}\0".encode())
    return digest.hexdigest()[:16]


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            found += _sources(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
