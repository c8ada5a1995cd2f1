"""Ask a policy once per engine iteration, and never let it harm the engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from kvsteady.admission import Setup, View, ask, new_view, with_room
from kvsteady.plugins.ledger import Ledger
from kvsteady.plugins.settings import Settings

LOG: Final = logging.getLogger("kvsteady.plugins")

# One slow decision is a busy machine; so many in a row are a slow policy.
SLOW_IN_A_ROW: Final = 8
# Iterations between two summaries of a shadow: minutes, on most engines.
SUMMARY_EVERY: Final = 5000
_ROOM = 256


def say_aside(why: str, engine: str = "the engine") -> None:
    """The one line in the log, also of an adapter that cannot begin."""
    LOG.warning("kvsteady steps aside and %s goes on by its own rule, because %s", engine, why)


class Regulator:
    """A policy in an engine.

    An adapter does three things in each iteration: it calls `limit` with a function that fills the
    view, keeps admissions to the answer where there is one, and then calls `settle` with what the
    engine did. Requests that leave memory are told to `gone` as they do.

    Whatever goes wrong here (an exception while the view is filled or the policy decides, decisions
    slower than their budget, a version of the engine that is not known) makes the regulator step
    aside for good: one line in the log, and from then on no limit.

    Parameters
    ----------
    settings
        Policy, mode, budget, patience.
    setup
        Memory of the engine, as in `Policy.start`.
    clock
        Seconds, to hold decisions against their budget.

    Raises
    ------
    InputError
        The policy cannot start, say for want of a rate: said before anything is served.
    """

    def __init__(
        self,
        settings: Settings,
        setup: Setup,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.settings = settings
        self.policy = settings.make_policy()
        self.view: View = new_view(_ROOM)
        self.ledger = Ledger()
        self.why_aside: str | None = None
        self._clock = clock
        self._slow = 0
        self._without = 0
        self._pushed = False  # the queue's head may enter against the policy
        self._gone = 0
        self._state: Any = self.policy.start(setup)
        # Compiled now, while nobody waits; what this decision remembers is thrown away.
        ask(self.policy.start(setup), self._empty(setup))

    @property
    def enforces(self) -> bool:
        """Whether answers are to be kept to."""
        return self.why_aside is None and self.settings.mode == "enforce"

    def room_for(self, running: int) -> View:
        """The view, with room for so many requests in memory."""
        if running > self.view.running.size:
            self.view = with_room(self.view, 2 * running)
        return self.view

    def limit(self, fill: Callable[[], None]) -> int | None:
        """How many may be admitted in this iteration; None: the engine's own rule alone.

        ``fill`` writes the view (`room_for`) but for who left.
        """
        if self.why_aside is not None:
            return None
        start = self._clock()
        try:
            fill()
            facts = self.view.facts
            facts["shown_gone"] = self._gone
            quota = self._at_least(int(ask(self._state, self.view)))
        except Exception as error:  # whatever it is, the engine goes on
            self.step_aside(f"it failed: {type(error).__name__}: {error}")
            return None
        self._gone = 0
        if self._is_slow(self._clock() - start):
            return None
        ledger = self.ledger
        ledger.quota = quota
        ledger.running, ledger.waiting = int(facts["running"]), int(facts["waiting"])
        ledger.blocks, ledger.free = int(facts["blocks"]), int(facts["free"])
        ledger.limited += quota < ledger.waiting
        return quota if self.enforces else None

    def settle(self, admitted: int, resumed: int = 0) -> None:
        """Take down how many the engine admitted, of whom so many after an eviction."""
        ledger = self.ledger
        ledger.steps += 1
        ledger.admitted += admitted
        ledger.resumed += resumed
        if self.why_aside is not None:
            return
        if admitted:
            self._without = 0
            ledger.overruled += self._pushed
        if not self.enforces:
            ledger.held_back += max(0, admitted - max(ledger.quota, 0))
            if ledger.steps % SUMMARY_EVERY == 0:
                LOG.info("kvsteady in shadow: %s", ledger.summary())

    def gone(self, how: int, prompt: int, generated: int, limit: int) -> None:
        """Take down that a request left memory: COMPLETED or EVICTED."""
        if self.why_aside is None and self._gone < self.view.gone.size:
            self.view.gone[self._gone] = (how, prompt, generated, limit)
            self._gone += 1

    def step_aside(self, why: str) -> None:
        """Ask no more. Said once."""
        if self.why_aside is None:
            self.why_aside = why
            say_aside(why)

    def _at_least(self, quota: int) -> int:
        """The answer, but for a queue that would never move though its head fits."""
        facts = self.view.facts
        self._pushed = False
        if quota > 0 or facts["waiting"] == 0 or facts["shown_waiting"] == 0:
            self._without = 0
            return max(quota, 0)
        if facts["running"] == 0:
            self._pushed = True
            return 1
        head = self.view.waiting[0]
        need = -(-int(head["prompt"] + head["generated"] + 1) // max(int(facts["block"]), 1))
        if need > facts["free"]:
            return 0
        self._without += 1
        # From then on until the engine has admitted it: that may want more memory for it.
        self._pushed = self._without >= self.settings.patience
        return int(self._pushed)

    def _is_slow(self, seconds: float) -> bool:
        self._slow = self._slow + 1 if 1e3 * seconds > self.settings.budget_ms else 0
        if self._slow < SLOW_IN_A_ROW:
            return False
        self.step_aside(
            f"{self.settings.policy} took {1e3 * seconds:.1f} ms, more than its budget of "
            f"{self.settings.budget_ms:g} ms, {SLOW_IN_A_ROW} times in a row"
        )
        return True

    def _empty(self, setup: Setup) -> View:
        """A view with one who runs and one who waits."""
        view = new_view(_ROOM)
        facts = view.facts
        facts["block"] = setup.block_size
        facts["blocks"] = facts["free"] = max(setup.kv_tokens // setup.block_size, 1)
        facts["unwritten"] = setup.unwritten
        facts["running"] = facts["waiting"] = 1
        facts["shown_running"] = facts["shown_waiting"] = 1
        for rows in (view.running, view.waiting):
            rows["prompt"] = rows["limit"] = np.int64(1)
        return view
