"""What there is to know of the engine before a policy may begin: its release, its ranks."""

from __future__ import annotations

import sys
from typing import Any, Final

# Releases whose own classes are run in `tests/engines/transformers`.
VERSIONS: Final = ("5.23.",)
_HOOKS: Final = (
    "schedule_batch",
    "reset",
    "add_waiting_request",
    "finish_request",
    "clear_cancelled_requests",
    "_get_waiting_candidates",
    "_process_candidates",
    "_try_to_meet_safety_margin",
)


def why_not(version: str, base: type, cache: Any) -> str | None:
    """Why this engine cannot be regulated; None: it can."""
    if not version.startswith(VERSIONS):
        known = ", ".join(f"{each}x" for each in VERSIONS)
        return f"Transformers {version} is not known to it (known: {known})"
    missing = [name for name in _HOOKS if not hasattr(base, name)]
    if missing:
        return f"{base.__name__} has no {', '.join(missing)}"
    kinds = list(cache.cache_allocators)
    if kinds != ["full_attention"]:
        return f"the model's layers keep {' and '.join(kinds)}, and it knows full attention alone"
    return None


def processes() -> int:
    """How many processes there are."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_world_size())
    return 1


def find_helper() -> Any:
    """What the engine knows of its ranks; None if it cannot be found.

    A scheduler is not told: whoever makes it has it.
    """
    frame = sys._getframe(1)
    while frame is not None:
        found = getattr(frame.f_locals.get("self"), "distributed_helper", None)
        if found is not None:
            return found
        frame = frame.f_back  # type: ignore[assignment]  # None at the end
    return None
