"""What a policy sees: what a live engine can know, as a few flat arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# `SEEN.limit` of a request that came without max_tokens.
NO_LIMIT = 2**31

FACTS = np.dtype(
    [
        ("iteration", "i8"),
        # Iterations so far in which those who run gained a token. Where prefill has iterations of
        # its own there are fewer, and the theory's rate per iteration is per one of these.
        ("ticks", "i8"),
        ("now", "f8"),  # seconds; where they begin depends on the engine
        ("block", "i8"),  # tokens per KV block
        ("blocks", "i8"),
        # blocks, before this iteration takes any; with those that only keep a prefix for later
        ("free", "i8"),
        ("running", "i8"),  # requests in memory
        ("waiting", "i8"),  # requests in the queue; `NO_LIMIT` or more where it never empties
        ("arrived", "i8"),  # requests so far
        ("admitted", "i8"),  # admissions so far, again after an eviction included
        ("evicted", "i8"),  # evictions so far
        ("completed", "i8"),  # completions so far
        ("unwritten", "i8"),  # 1 where the KV of a request's last token is never stored
        # 1 where the engine hears of a completion an iteration late, and holds the memory as long
        ("late", "i8"),
        # filled parts of the view's arrays
        ("shown_running", "i8"),
        ("shown_waiting", "i8"),
        ("shown_gone", "i8"),
    ]
)
"""Numbers that there are once."""

SEEN = np.dtype(
    [
        ("prompt", "i8"),
        ("generated", "i8"),  # output tokens it has, kept ones of an evicted request included
        ("limit", "i8"),  # its max_tokens, or `NO_LIMIT`
        ("output", "i8"),  # tokens it will generate: shown to oracles only, else 0
        # With a prefix cache, else 0; known where `Policy.sees_running`. KV tokens of it in blocks
        # that other requests hold as well: they take memory once, and stay when it leaves. Of one
        # that waits: in blocks that somebody holds, so that it needs none for them.
        ("shared", "i8"),
        # Of one that waits: KV tokens found in the cache, shared ones included, which it need not
        # compute. Those that nobody holds it takes out of the free blocks like others.
        ("cached", "i8"),
        # When it came, in seconds on the clock of `FACTS.now` and never later: it has been here for
        # ``now - arrived``. Evictions leave it as it is; it is negative for who came before that
        # clock began. In the exact model both count iterations.
        ("arrived", "f8"),
    ]
)
"""A request in memory or in the queue.

Distinct tokens in memory are ``(blocks − free) · block``; what no two requests share of it is the
sum of ``prompt + generated − shared`` over those who run, and the rest is shared: it is there as
long as one of its holders is.
"""

SeenRow = tuple[int, int, int, int, int, int, float]
"""Values of a `SEEN` row, in the order of its fields."""

COMPLETED, EVICTED = range(2)

GONE = np.dtype(
    [
        ("how", "i8"),  # COMPLETED or EVICTED
        ("prompt", "i8"),
        ("generated", "i8"),
        ("limit", "i8"),
    ]
)
"""A request that left memory since the last decision."""

# Of the queue's head a policy sees so many, and it admits no more at once.
SHOWN_WAITING = 256
# Of so many of them it is told what the prefix cache holds, which is looked up for each.
SHOWN_CONTENT = 32

Structured = npt.NDArray[Any]


class View(NamedTuple):
    """What a policy may look at; the arrays are filled up to ``facts.shown_…``.

    A real engine and a simulated one fill the same arrays. Which of them are filled is what the
    policy asked for (`Policy.sees_running`); ``facts`` and ``gone`` always are.
    """

    facts: Any  # a FACTS record
    running: Structured  # SEEN rows, in the order of admission
    waiting: Structured  # SEEN rows, the head first
    gone: Structured  # GONE rows


def new_view(running: int) -> View:
    """An empty view with room for so many requests in memory."""
    return View(
        facts=np.zeros(1, dtype=FACTS)[0],
        running=np.zeros(running, dtype=SEEN),
        waiting=np.zeros(SHOWN_WAITING, dtype=SEEN),
        gone=np.zeros(2 * running + SHOWN_WAITING, dtype=GONE),
    )


def with_room(view: View, running: int) -> View:
    """The same view, with room for more requests in memory."""
    larger = new_view(running)
    larger.running[: view.running.size] = view.running
    larger.waiting[:] = view.waiting
    larger.gone[: view.gone.size] = view.gone
    return larger._replace(facts=view.facts)
