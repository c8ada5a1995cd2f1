"""Local workers end with the process that they work for, even where that is killed."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

_EVERY: Final = 1.0  # seconds between looks


def end_with(parent: int) -> None:
    """End this process once ``parent`` is its parent no more.

    A pool of workers that loses its owner to a kill would go on with what it had been given, and
    then wait for two minutes. Where the system gives orphans no other parent (Windows) nothing
    happens.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY)
    os._exit(1)
