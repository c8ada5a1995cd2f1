"""Conversations: each turn's prompt is all that was said before and something new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kvsteady.arrays import IntArray
from kvsteady.errors import InputError, shown
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads import draws
from kvsteady.simulate.loads.closed import think_times
from kvsteady.simulate.loads.requests import (
    BATCH,
    Requests,
    at_least_zero,
    check_options,
    check_workload,
    smallest_of,
)
from kvsteady.simulate.records import NONE
from kvsteady.workload.distributions import Lengths
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT, real_number, whole_number


@dataclass(frozen=True)
class Sessions:
    """Multi-turn sessions whose turns share their prefixes, generated tokens included.

    A session's first turn comes at a Poisson time; each next one ``think`` seconds after the answer
    to the one before. Turns are made ahead: a session takes 104 bytes per turn and 8 per block key.

    Parameters
    ----------
    workload
        Per turn: what the user adds (``prompt``) and the answer (``output``).
    sessions
        How many.
    rate
        Sessions that begin per second.
    turns
        Turns per session (`Lengths` is a law of any whole number).
    think
        Seconds between an answer and the next turn.
    random_think
        True: exponential with that mean.
    shared
        Tokens at the start of every session that all have in common (a system prompt). What they
        share is rounded down to whole keys.
    max_context
        A session ends before the turn that would exceed it (prompt + output); None: no bound.
    key_tokens
        Tokens per block key: a multiple of the engine's block size.
    max_tokens, seed
        As in `Saturated`; the seed draws all.

    Raises
    ------
    InputError
        An option out of its range, or a first turn that exceeds ``max_context``.
    """

    workload: Workload
    sessions: int
    rate: float
    turns: Lengths = field(default_factory=lambda: Lengths.fixed(4))
    think: float = 0.0
    random_think: bool = False
    shared: int = 0
    max_context: int | None = None
    key_tokens: int = 16
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_workload(self.workload)
        check_options(self.sessions, self.max_tokens, self.seed)
        whole_number(self.sessions, "sessions", 1, 2**31)
        real_number(self.rate, "rate")
        if not isinstance(self.turns, Lengths):
            raise InputError(f"{shown(self.turns)} is no law", field="turns", allowed="Lengths")
        whole_number(self.turns.values[0], "turns", 1, MAX_OUTPUT)
        at_least_zero(self.think, "think")
        whole_number(self.shared, "shared", 0, MAX_PROMPT)
        whole_number(self.key_tokens, "key_tokens", 1, 65_536)
        if self.max_context is not None:
            whole_number(self.max_context, "max_context", 1, MAX_PROMPT)

    def feed(self) -> Feed:
        """Start over."""
        rows, first = self._rows()
        keys = self._lay_keys(rows, first)
        is_first = np.zeros(rows.size, dtype=bool)
        is_first[first] = True
        # A turn is followed by the next row of its session, which stands among the later turns.
        follows = np.append(rows["session"][1:] == rows["session"][:-1], False)
        place = np.cumsum(~is_first) - 1
        rows["follow"] = np.where(follows, np.append(place[1:], NONE), NONE)
        return Feed(
            self._begin(rows[first]),
            int(rows["output"].max()),
            int(rows["prompt"].max()),
            total=rows.size,
            smallest_prompt=int(rows["prompt"].min()),
            smallest=smallest_of(rows["prompt"], rows["output"]),
            turns=rows[~is_first],
            keys=keys,
            key_tokens=self.key_tokens,
            classes=len(self.workload),
        )

    def _rows(self) -> tuple[Any, IntArray]:
        """All turns, session by session, and the rows of the first ones."""
        counts = np.zeros(self.sessions, dtype=np.int64)
        own = draws.stream(self.seed, draws.TURNS)
        draws.fill_values(self.turns.values, np.cumsum(self.turns.probability), own, counts)
        rows = Requests(self.workload, self.max_tokens, self.seed).take(int(counts.sum()))
        rows["session"] = np.repeat(np.arange(self.sessions), counts)
        rows["think"] = think_times(rows.size, self.think, self.random_think, self.seed)
        first = np.cumsum(counts) - counts
        # The context before a turn: all of the session that came before it.
        said = np.cumsum(rows["prompt"] + rows["output"]) - rows["prompt"] - rows["output"]
        rows["prompt"] += said - np.repeat(said[first], counts) + self.shared
        if self.max_context is not None:
            fits = rows["prompt"] + rows["output"] <= self.max_context
            if not fits[first].all():
                raise InputError(
                    "a session's first turn exceeds it", field="max_context", allowed="more tokens"
                )
            rows = rows[fits]  # contexts only grow, so what is left is the start of each session
        elif rows["prompt"].max() > MAX_PROMPT:
            raise InputError(
                f"sessions grow to {rows['prompt'].max():,} tokens",
                field="max_context",
                allowed=f"at most {MAX_PROMPT:,}",
            )
        rows["id"] = np.arange(rows.size)
        return rows, np.flatnonzero(np.diff(rows["session"], prepend=-1))

    def _lay_keys(self, rows: Any, first: IntArray) -> IntArray:
        """Give each session its keys, and each turn the part that it fills; returns all keys."""
        rows["key_count"] = -(-(rows["prompt"] + rows["output"]) // self.key_tokens)
        last = np.append(first[1:], rows.size) - 1
        counts = rows["key_count"][last]
        starts = np.cumsum(counts) - counts
        rows["keys"] = starts[rows["session"]]
        total = int(counts.sum())
        place = np.arange(total) - np.repeat(starts, counts)
        common = self.shared // self.key_tokens
        return np.where(place < common, place, common + np.arange(total))

    def _begin(self, rows: Any) -> Iterator[Any]:
        gaps = np.empty(rows.size)
        draws.fill_waiting_times(draws.stream(self.seed, draws.ARRIVALS), 0, 1.0 / self.rate, gaps)
        rows["time"] = np.cumsum(gaps)
        for start in range(0, rows.size, BATCH):
            yield rows[start : start + BATCH]
