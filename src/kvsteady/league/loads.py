"""Loads of the suite that are other loads changed: told something else, sharing what they ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.loads.prefix_trace import PrefixTrace
from kvsteady.simulate.loads.sessions import Sessions
from kvsteady.simulate.records import NONE
from kvsteady.workload.distributions import Lengths
from kvsteady.workload.law import Workload

# Tokens per block key: whole blocks on every engine of the league.
KEY_TOKENS: Final = 64


def _changed(feed: Feed, change: Callable[[Any], None]) -> Iterator[Any]:
    for rows in feed.batches:
        change(rows)
        yield rows


@dataclass(frozen=True)
class Told:
    """Requests whose max_tokens is ``limit``, whatever they generate; the outputs stay."""

    load: Load
    limit: int

    def feed(self) -> Feed:
        """Start over."""

        def tell(rows: Any) -> None:
            rows["limit"] = np.maximum(rows["output"], self.limit)

        feed = self.load.feed()
        return replace(feed, batches=_changed(feed, tell))


@dataclass(frozen=True)
class SystemPrompt:
    """Requests that all begin with the same ``tokens`` tokens, a multiple of `KEY_TOKENS`."""

    load: Load
    tokens: int

    def feed(self) -> Feed:
        """Start over."""
        keys = np.arange(self.tokens // KEY_TOKENS)

        def begin(rows: Any) -> None:
            rows["prompt"] += self.tokens
            rows["key_count"] = keys.size

        feed = self.load.feed()
        return replace(
            feed,
            batches=_changed(feed, begin),
            largest_prompt=feed.largest_prompt + self.tokens,
            smallest=(feed.smallest[0] + self.tokens, feed.smallest[1]),
            keys=keys,
            key_tokens=KEY_TOKENS,
        )


@dataclass(frozen=True)
class Conversations:
    """Turns of many conversations, one whenever the engine wants one: a queue that never empties.

    A turn's prompt is all that was said before. Between two turns of a conversation about
    ``together`` turns of others come, whether or not the answer before is there.
    From the first row on they are as old as later: if all began then, prompts would grow in a run,
    and who serves fewer would serve shorter ones.

    Parameters
    ----------
    turn
        Per turn: what is added (``prompt``), and the answer.
    system_prompt
        Tokens that all begin with.
    count
        Conversations that begin.
    seed
        Of the draws.
    """

    turn: Workload
    system_prompt: int
    count: int
    seed: int = 0
    turns: Lengths = Lengths.geometric(4.0, 16)  # noqa: RUF009 -- frozen, as a default may be
    together: int = 200
    max_context: int = 16_384

    def feed(self) -> Feed:
        """Start over."""
        # Conversations begin once a second, so that as many turns come per second as one has.
        apart = self.together / float(self.turns.values @ self.turns.probability)
        lead = math.ceil(int(self.turns.values[-1]) * apart)
        feed = Sessions(
            self.turn,
            lead + self.count,
            1.0,
            turns=self.turns,
            shared=self.system_prompt,
            max_context=self.max_context,
            key_tokens=KEY_TOKENS,
            seed=self.seed,
        ).feed()
        first = np.concatenate(list(feed.batches))
        rows = np.concatenate([first, feed.turns])
        begun = np.zeros(lead + self.count)
        begun[first["session"]] = first["time"]
        rows = rows[np.lexsort((rows["id"], rows["session"]))]
        number = np.arange(rows.size)
        start = np.maximum.accumulate(
            np.where(np.diff(rows["session"], prepend=NONE) != 0, number, 0)
        )
        rows["time"] = begun[rows["session"]] + (number - start) * apart
        rows = rows[np.argsort(rows["time"], kind="stable")]
        rows = rows[(rows["time"] >= lead) & (rows["time"] <= begun.max())]
        rows["time"] -= lead
        rows["follow"] = NONE
        # What they share is in memory once: a turn adds few tokens.
        return replace(
            feed,
            batches=iter([rows]),
            total=rows.size,
            turns=feed.turns[:0],
            smallest_prompt=KEY_TOKENS,
            on_demand=True,
        )


@dataclass(frozen=True)
class Replayed:
    """The requests of a trace in their order, one whenever the engine wants one."""

    trace: PrefixTrace

    def feed(self) -> Feed:
        """Start over."""
        trace = self.trace
        return replace(trace.feed(), smallest_prompt=trace.key_tokens, on_demand=True)
