"""What a load is to the simulator: where requests come from, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from kvsteady.arrays import IntArray
from kvsteady.simulate import records


@dataclass(frozen=True, eq=False)
class Feed:
    """One pass over a load.

    Attributes
    ----------
    batches
        `records.ARRIVAL` rows in the order of arrival, in batches of any size, drawn one after
        another as the run needs them: a load of any length takes bounded memory.
    largest_output, largest_prompt
        Bounds on the tokens of any request, turns included.
    total
        Requests in all, for a progress bar; None where there is no end.
    smallest_prompt
        A bound from below on any prompt: how many could be admitted at once, where requests come
        on demand and nothing is shared.
    smallest
        Prompt and output of the request with the fewest tokens, turns included; zeros where that
        is not known.
    on_demand
        True: a queue that never empties; times are ignored.
    clients
        Above 0: so many clients, each of which sends the next row ``think`` seconds after its
        last request completed; times are ignored.
    turns
        Rows that arrive after another request completed (its ``follow`` names the row).
    keys
        Block keys: equal keys mean equal content in an equal context. A request's are the
        ``key_count`` from row ``keys`` on; see `kvsteady.simulate.prefix`.
    key_tokens
        Tokens that one key stands for; 0 where nothing is shared.
    classes
        Classes that requests are of (``kind``, from 0); None where that is not known.
    pushed
        True: a router brings the rows (`Machine.push`), and ``batches`` is empty.
    """

    batches: Iterator[Any]
    largest_output: int
    largest_prompt: int
    total: int | None = None
    smallest_prompt: int = 0
    smallest: tuple[int, int] = (0, 0)
    on_demand: bool = False
    clients: int = 0
    turns: Any = field(default_factory=lambda: np.zeros(0, dtype=records.ARRIVAL))
    keys: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    key_tokens: int = 0
    classes: int | None = None
    pushed: bool = False


class Load(Protocol):
    """Where requests come from.

    To write one, give `feed`: a new `Feed` each time it is called, the same from the same seed on
    any machine (draw with ``np.random.Generator(np.random.PCG64(seed))`` or by counting).
    """

    def feed(self) -> Feed:
        """Start over."""
        ...


def arrivals(count: int) -> Any:
    """``count`` rows of `records.ARRIVAL` with the fields that most loads leave alone filled in."""
    rows = np.zeros(count, dtype=records.ARRIVAL)
    rows["follow"] = rows["session"] = records.NONE
    return rows
