"""Which releases of vLLM are known, and what a scheduler must have to be narrowed."""

from __future__ import annotations

from typing import Any, Final

# What `make engines` and the tests beside it run against.
TESTED: Final = {
    "0.32.0": "whole engine and scheduler, on a CPU",
    "0.33.0": "scheduler alone, on a CPU",
}

# The limit on who may run that schedule() looks at before each admission; the first that it reads.
GATES: Final = ("max_num_active_reqs", "max_num_running_reqs")

# What is read or overridden, as dotted paths from a scheduler.
NEEDED: Final = (
    "running",
    "waiting",
    "requests",
    "policy",
    "block_size",
    "max_model_len",
    "num_waiting_for_streaming_input",
    "kv_cache_manager.enable_caching",
    "kv_cache_manager.get_blocks",
    "kv_cache_manager.block_pool.get_cached_block",
    "kv_cache_manager.block_pool.num_gpu_blocks",
    "kv_cache_manager.block_pool.get_num_free_blocks",
    "kv_cache_config.kv_cache_groups",
    "add_request",
    "_preempt_request",
    "_free_request",
)


def find_gate(schedule: Any) -> str | None:
    """The attribute that closes admissions in a scheduler's ``schedule`` function, if it is known.

    That it is there does not tell that schedule() heeds it: it must be among the names in its code.
    """
    names = getattr(getattr(schedule, "__code__", None), "co_names", ())
    return next((gate for gate in GATES if gate in names), None)


def missing(scheduler: Any) -> str | None:
    """What a scheduler lacks, or None."""
    for path in NEEDED:
        found = scheduler
        for name in path.split("."):
            if not hasattr(found, name):
                return f"vLLM's scheduler has no {path}"
            found = getattr(found, name)
    return None


def pause_of(scheduler: Any) -> int:
    """0: runs; 1: admits nobody new; 2: computes nothing."""
    state = getattr(scheduler, "pause_state", 0)
    return int(getattr(state, "value", state))


def about(version: str) -> str:
    """What is known of a release, for the log."""
    release = version.split("+")[0]
    if release in TESTED:
        return f"vLLM {version}, tested: {TESTED[release]}"
    return f"vLLM {version}, not tested (tested: {', '.join(TESTED)}), has all that is needed"
