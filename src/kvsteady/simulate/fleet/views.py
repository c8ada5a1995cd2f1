"""A machine as its router sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import WAITING
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE


class MachineView:
    """A `View` that brings its machine up to date when it is looked at.

    Parameters
    ----------
    machine
        What to look at.
    bring
        Called before every look.
    """

    def __init__(self, machine: Machine, bring: Callable[[], None]) -> None:
        self._machine, self._bring = machine, bring

    @property
    def kv_tokens(self) -> int:
        """KV tokens it has."""
        clock = self._machine.clock
        return int(clock["total"] * clock["block"])

    @property
    def free_tokens(self) -> int:
        """KV tokens in free blocks."""
        self._bring()
        clock = self._machine.clock
        return int(clock["free"] * clock["block"])

    @property
    def running(self) -> int:
        """Requests in memory."""
        self._bring()
        return int(self._machine.state.lists["count"][RUNNING])

    @property
    def waiting(self) -> int:
        """Requests in its queue, those on their way included."""
        self._bring()
        return int(self._machine.state.lists["count"][QUEUE]) + sent(self._machine)

    @property
    def waiting_tokens(self) -> int:
        """Prompt tokens of those that wait."""
        self._bring()
        state, clock = self._machine.state, self._machine.clock
        coming = state.inbox["prompt"][clock["cursor"] : clock["rows"]].sum()
        if not state.lists["count"][QUEUE]:
            return int(coming)
        queued: Any = np.where(state.requests["state"] == WAITING, state.requests["prompt"], 0)
        return int(coming + queued.sum())


def sent(machine: Machine) -> int:
    """Requests that were pushed and have not been taken in yet."""
    return int(machine.clock["rows"] - machine.clock["cursor"])


def at_work(machine: Machine) -> bool:
    """Whether there is a request in it or on its way."""
    counts = machine.state.lists["count"]
    return bool(counts[RUNNING] or counts[QUEUE] or sent(machine))
