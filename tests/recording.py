"""A policy that admits whoever fits, or at a rate, and writes down whom it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of


class Book(NamedTuple):
    at: Any  # one number: decisions so far
    now: Any  # by decision
    shown: Any  # by decision: rows of who waits, and of who runs
    rows: Any  # by decision, of who waits and who runs: prompt, generated, arrived
    every: int  # admits one in so many iterations; 0: whoever fits


@decide_of(Book)
def _written(state, view):
    at = state.at[0]
    state.at[0] += 1
    if at == state.now.size:  # full
        state.at[0] = at
    else:
        state.now[at] = view.facts.now
        many = (view.facts.shown_waiting, view.facts.shown_running)
        for which, rows in enumerate((view.waiting, view.running)):
            state.shown[at, which] = many[which]
            for i in range(many[which]):
                row = rows[i]
                state.rows[at, which, i, 0] = row.prompt
                state.rows[at, which, i, 1] = row.generated
                state.rows[at, which, i, 2] = row.arrived
    if state.every == 0:
        return 1 << 20
    return 1 if view.facts.iteration % state.every == 0 else 0


class Seen(NamedTuple):
    """A request as it was shown."""

    now: float
    waits: bool
    generated: int
    arrived: float


@dataclass(frozen=True)
class Recorder:
    """What it was shown is in `seen`, by the requests' prompts, which are to be all different."""

    decisions: int
    at_once: int  # requests at most
    every: int = 0
    books: list[Book] = field(default_factory=list)

    sees_running = True
    oracle = False

    def start(self, setup: Setup) -> Book:
        del setup
        rows = np.zeros((self.decisions, 2, self.at_once, 3))
        shown = np.zeros((self.decisions, 2), dtype=np.int64)
        now = np.zeros(self.decisions)
        self.books.append(Book(np.zeros(1, dtype=np.int64), now, shown, rows, self.every))
        return self.books[-1]

    @property
    def seen(self) -> dict[int, list[Seen]]:
        [book] = self.books
        found: dict[int, list[Seen]] = {}
        for at in range(int(book.at[0])):
            for which in range(2):
                for prompt, generated, arrived in book.rows[at, which, : book.shown[at, which]]:
                    row = Seen(float(book.now[at]), which == 0, int(generated), float(arrived))
                    found.setdefault(int(prompt), []).append(row)
        return found


def evicted(rows: list[Seen]) -> bool:
    """Whether a request was seen waiting after it had run."""
    ran = False
    for row in rows:
        if ran and row.waits:
            return True
        ran = ran or not row.waits
    return False


def overheard(regulator: Any) -> dict[int, list[Seen]]:
    """The same of what a plug-in's policy is shown from now on."""
    found: dict[int, list[Seen]] = {}
    ask = regulator.limit

    def limit(fill: Callable[[], None]) -> Any:
        def heard() -> None:
            fill()
            view = regulator.view
            now = float(view.facts["now"])
            for waits, rows, many in (
                (True, view.waiting, view.facts["shown_waiting"]),
                (False, view.running, view.facts["shown_running"]),
            ):
                for row in rows[:many]:
                    each = Seen(now, waits, int(row["generated"]), float(row["arrived"]))
                    found.setdefault(int(row["prompt"]), []).append(each)

        return ask(heard)

    regulator.limit = limit
    return found
