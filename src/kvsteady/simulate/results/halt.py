"""Why an engine makes no progress: the cycle it is in, or who waits for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kvsteady.simulate import arriving
from kvsteady.simulate.integrity import held_tokens, walk
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import FREE
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE

# Iterations in which a state has to come back to be called a cycle.
_WATCHED = 5_000
_NAMED = 5


@dataclass(frozen=True)
class Halt:
    """An engine that does not get on.

    Attributes
    ----------
    livelocked
        True: it works and evicts, and nobody completes. False: it computes nothing.
    period
        Iterations after which the same requests run and wait with the same tokens; None where that
        did not happen within 5,000.
    evictions
        In one period, or in all iterations that were watched.
    requests
        Ids of those evicted meanwhile, ascending; of a stall, of the first in the queue.
    text
        The same as a sentence.
    """

    livelocked: bool
    period: int | None
    evictions: int
    requests: tuple[int, ...]
    text: str


def find_halt(machine: Machine, run: Callable[[int], int], why: int) -> Halt:
    """Watch a machine that stopped with LIVELOCK or STALLED; ``run`` runs so many iterations.

    The requests that never ran are left out of account: they may keep coming.
    """
    if why == arriving.STALLED:
        return _stall(machine)
    quiet = int(machine.clock["quiet"])
    start, before = _photograph(machine), _preemptions(machine)
    period = None
    for watched in range(1, _WATCHED + 1):
        run(1)
        if _photograph(machine) == start:
            period = watched
            break
    after = _preemptions(machine)
    gained = {name: n - before.get(name, 0) for name, n in after.items()}
    evicted = tuple(sorted(name for name, n in gained.items() if n > 0))
    evictions = sum(gained.values())
    if period is not None:
        what = (
            f"every {_count(period, 'iteration')} the same state recurs, after "
            f"{_count(evictions, 'eviction')} of {_list(evicted)}"
        )
    else:
        what = (
            f"{_count(evictions, 'eviction')} of {_list(evicted)} in {_WATCHED:,} iterations, "
            "and no state recurred"
        )
    running = machine.state.lists["count"][RUNNING]
    text = (
        f"Livelock: no request completed in {_count(quiet, 'iteration')} ({running} running); "
        f"{what}."
    )
    return Halt(True, period, evictions, evicted, text)


def _stall(machine: Machine) -> Halt:
    state, clock = machine.state, machine.clock
    waiting, running = walk(state, QUEUE), int(state.lists["count"][RUNNING])
    empty = int(clock["empty"])
    stands = f"{running} running, {len(waiting)} waiting, {clock['free']:,} blocks free"
    if not waiting:
        return Halt(False, None, 0, (), f"Stalled: {empty:,} iterations were empty ({stands}).")
    head = state.requests[waiting[0]]
    tokens = int(head["prompt"] + head["kept"])
    text = (
        f"Stalled: {empty:,} iterations computed nothing ({stands}); request {head['id']} at the "
        f"head of the queue, with {tokens:,} tokens to prefill "
        f"({-(-tokens // int(clock['block'])):,} blocks), is never admitted."
    )
    return Halt(False, None, 0, (int(head["id"]),), text)


def _photograph(machine: Machine) -> Any:
    """Who runs with how many KV tokens, and who waits to run again, in order."""
    state = machine.state
    held, requests = held_tokens(state), state.requests
    return (
        [(slot, int(held[slot]), int(requests["kept"][slot])) for slot in walk(state, RUNNING)],
        [
            (slot, int(requests["kept"][slot]))
            for slot in walk(state, QUEUE)
            if requests["preemptions"][slot] > 0
        ],
    )


def _preemptions(machine: Machine) -> dict[int, int]:
    used = machine.state.requests
    used = used[used["state"] != FREE]
    return dict(zip(used["id"].tolist(), used["preemptions"].tolist(), strict=True))


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _list(names: tuple[int, ...]) -> str:
    if not names:
        return "nobody"
    shown = ", ".join(map(str, names[:_NAMED]))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"request{'s' if len(names) > 1 else ''} {shown}{more}"
