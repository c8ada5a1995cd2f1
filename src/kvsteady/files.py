"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_whole(target: Path, data: bytes) -> None:
    """Write through a temporary file beside the target, which is gone whatever happens.

    An older file stays until the new one is complete. Raises `OSError` where it cannot be written.
    """
    temporary = target.with_name(f".{secrets.token_hex(8)}.kvsteady-tmp")
    try:
        # Not tempfile: its files are private, while this one gets the usual permissions.
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:  # an interrupt too must not leave the file behind
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
