"""Rows of a league with made-up numbers."""

from __future__ import annotations

from typing import Final

from kvsteady.league import Row
from kvsteady.league.measure import Result

NUMBERS: Final = {
    "outcome": "ran",
    "iterations": 1,
    "completions": 1,
    "completions_per_iteration": 1.0,
    "of_x": 1.0,
    "recompute_tax": 0.0,
    "recomputed_share": 0.0,
    "evictions_per_completion": 0.0,
    "itl_p50_ms": 1.0,
    "itl_p99_ms": 1.0,
    "ttft_p99_s": 1.0,
    "goodput": 1.0,
    "recovered": 1.0,
    "decoding": 200.0,
    "kv_usage": 1.0,
}
"""A result, but for its tokens per second."""


def made(
    entrant: str, role: str, *tokens: float, seeds: tuple[int, ...] = (), **more: float | str | None
) -> Row:
    """A row of a workload: tokens per second by seed, all other numbers alike."""
    numbers = NUMBERS | more
    results = tuple(Result(tokens_per_second=each, **numbers) for each in tokens)
    return Row(
        workload="azure",
        engine="vllm",
        entrant=entrant,
        role=role,
        constants=(),
        seeds=seeds or tuple(range(1, len(tokens) + 1)),
        results=results,
        tried=(((), results[0]),),
    )
