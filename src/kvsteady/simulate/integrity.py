"""Whether the books of a run balance; cheap enough for every iteration of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kvsteady.errors import KvsteadyError
from kvsteady.simulate import records
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.records import DECODING, FREE, NONE, WAITING
from kvsteady.simulate.state import RUNNING, State
from kvsteady.simulate.state import WAITING as QUEUE

if TYPE_CHECKING:
    from kvsteady.simulate.machine import Machine

Check = TypeVar("Check", bound=Callable[[Any, State], None])

_checks: dict[type, Callable[[Any, State], None]] = {}


def checks(memory: type) -> Callable[[Check], Check]:
    """Register the decorated function ``(memory, state)`` as what `check_integrity` asks too."""

    def put(check: Check) -> Check:
        _checks[memory] = check
        return check

    return put


class IntegrityError(KvsteadyError, AssertionError):
    """The simulator broke one of its own laws: a defect of it, not of the input."""


def check_integrity(machine: Machine) -> None:
    """Check that no request, token or block got lost or was counted twice.

    Requests: arrived = completed + rejected + waiting + running (+ returned to an endless
    queue). Lists, calendar and sums agree with what stands in the requests. Blocks: free + held
    (+ kept aside by the engine) = all there are, by the memory's own check. For a run between two
    iterations.

    Raises
    ------
    IntegrityError
        With the law that is broken and both numbers.
    """
    state, memory = machine.state, machine.memory
    _check_requests(state)
    aside = machine.habits.aside() if hasattr(machine.habits, "aside") else 0
    if isinstance(memory, Counted):
        _check_counted(state, aside)
    elif type(memory) in _checks:
        _checks[type(memory)](memory, state)


def _check_counted(state: State, aside: int) -> None:
    """Where blocks are only counted: of one that decodes they follow from its tokens."""
    clock, requests = state.clock, state.requests
    needed = -(-held_tokens(state) // clock["block"])
    in_memory = ~np.isin(requests["state"], (FREE, WAITING))
    decoding = requests["state"] == DECODING
    held = np.where(decoding, needed, requests["blocks"])[in_memory]
    _equal("blocks held", int(clock["total"] - clock["free"]), int(held.sum()) + aside)
    if (held < needed[in_memory]).any():
        raise IntegrityError("a request has more tokens than its blocks can hold")
    waiting = requests["blocks"][requests["state"] == WAITING]
    _equal("blocks of those who wait", 0, int(waiting.sum()))


def _check_requests(state: State) -> None:
    clock, requests = state.clock, state.requests
    waiting, running = walk(state, QUEUE), walk(state, RUNNING)
    gone = clock["all_completed"] + clock["all_rejected"] + clock["all_returned"]
    _equal("requests", clock["all_arrived"], gone + len(waiting) + len(running))
    used = requests["state"] != FREE
    _equal("slots in use", np.count_nonzero(used), len(waiting) + len(running))
    _equal("slots", requests.size, np.count_nonzero(used) + clock["free_slots"])
    _equal("waiting requests", len(waiting), np.count_nonzero(requests["state"] == WAITING))
    decoding = np.flatnonzero(requests["state"] == DECODING)
    _equal("requests that decode", clock["decoding"], decoding.size)
    _equal("their offsets", clock["offsets"], requests["offset"][decoding].sum())
    phases = np.bincount(-requests["offset"][decoding] % clock["block"], minlength=clock["block"])
    _equal("their phases", state.phases.tolist(), phases.tolist())
    due = requests["due"][decoding] - clock["tick"]
    if (due <= 0).any():
        raise IntegrityError("a request that decodes was due before")
    in_calendar = sum(len(_day(state, day)) for day in range(state.calendar.size))
    _equal("requests in the calendar", in_calendar, decoding.size)
    if not 0 <= clock["free"] <= clock["total"]:
        raise IntegrityError(f"{clock['free']} of {clock['total']} blocks are free")


def walk(state: State, name: int) -> list[int]:
    """Slots of a list from its head, links checked both ways."""
    slots: list[int] = []
    row = state.lists[name]
    slot, before = int(row["first"]), NONE
    while slot != NONE:
        if int(state.requests["before"][slot]) != before or len(slots) > state.requests.size:
            raise IntegrityError(f"list {name} is torn at slot {slot}")
        slots.append(slot)
        before, slot = slot, int(state.requests["after"][slot])
    _equal(f"length of list {name}", int(row["count"]), len(slots))
    _equal(f"tail of list {name}", int(row["last"]), before)
    return slots


def _day(state: State, day: int) -> list[int]:
    slots: list[int] = []
    slot = int(state.calendar["first"][day])
    while slot != NONE:
        if int(state.requests["due"][slot]) & (state.calendar.size - 1) != day:
            raise IntegrityError(f"slot {slot} stands on a wrong day of the calendar")
        slots.append(slot)
        slot = int(state.requests["due_after"][slot])
    return slots


def held_tokens(state: State) -> Any:
    """KV tokens of every slot, shape ``(slots,)``."""
    requests = state.requests
    return np.where(
        requests["state"] == DECODING,
        state.clock["tick"] + requests["offset"],
        np.where(requests["state"] == records.FREE, 0, requests["computed"]),
    )


def _equal(what: str, counted: Any, found: Any) -> None:
    if counted != found:
        raise IntegrityError(f"{what}: {counted} by the books, {found} found")
