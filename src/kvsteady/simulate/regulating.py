"""Ask the admission policy, once per iteration, before the engine schedules."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from typing import NamedTuple

from kvsteady.admission import NO_LIMIT, SHOWN_CONTENT, Policy, View, decide, decide_of, new_view
from kvsteady.kernels import kernel
from kvsteady.model.integer import UNIT
from kvsteady.simulate.decoding import generated
from kvsteady.simulate.doors import found, shared, spare
from kvsteady.simulate.records import LEAVING, NONE
from kvsteady.simulate.state import RUNNING, State
from kvsteady.simulate.state import WAITING as QUEUE

# What of a run a policy is shown (`CLOCK.shows`); 0: there is none to ask.
_ASKED, _SHOWS_RUNNING, _SHOWS_OUTPUT = 1, 2, 4


class NoPolicy(NamedTuple):
    """Nobody is asked: admissions follow the run's pace."""

    unasked: bool = True


@decide_of(NoPolicy)
def _unasked(state, view):
    return 0


NO_POLICY: NamedTuple = NoPolicy()


def shows(policy: Policy) -> int:
    """What is filled in for a policy, as `CLOCK.shows` has it."""
    seen = _SHOWS_RUNNING if policy.sees_running else 0
    return _ASKED | seen | (_SHOWS_OUTPUT if policy.oracle else 0)


def view_of(state: State) -> View:
    """A view of a state: who left is written there by the kernels as it happens."""
    return new_view(state.requests.size)._replace(gone=state.gone)


@kernel
def regulate(engine, memory, policy, view, s):
    """Let the policy say how many may be admitted in this iteration."""
    clock = s.clock
    if clock.shows == 0:
        return
    facts = view.facts
    facts.iteration = clock.iteration - clock.from_iteration
    facts.ticks, facts.now = clock.tick - clock.from_tick, clock.now - clock.from_now
    facts.block, facts.blocks = clock.block, clock.total
    facts.free = clock.free + spare(engine)
    facts.running = s.lists[RUNNING].count
    facts.waiting = NO_LIMIT if clock.backlog > 0 else s.lists[QUEUE].count
    facts.arrived = clock.all_arrived - clock.from_arrived
    facts.admitted = clock.all_admitted - clock.from_admitted
    facts.evicted = clock.all_preempted - clock.from_preempted
    facts.completed = clock.all_completed - clock.from_completed
    facts.unwritten, facts.late = clock.unwritten, clock.late
    facts.shown_running = 0
    if clock.shows & _SHOWS_RUNNING:
        facts.shown_running = _show(s, RUNNING, view.running)
    facts.shown_waiting = _show(s, QUEUE, view.waiting)
    if clock.shows & _SHOWS_RUNNING:
        _show_content(memory, view, s)
    facts.shown_gone = clock.gone
    quota = decide(policy, view)
    clock.gone = 0
    clock.credit = min(max(quota, 0), NO_LIMIT) * UNIT


@kernel
def _show(s, name, rows):
    """Fill ``rows`` with a list's requests, as many as there is room for; returns how many."""
    slot, many = s.lists[name].first, 0
    oracle = s.clock.shows & _SHOWS_OUTPUT
    while slot != NONE and many < rows.size:
        r, row = s.requests[slot], rows[many]
        row.prompt, row.limit = r.prompt, r.limit
        # The last token of who is leaving is on its way, as others' are: the engine counts it.
        row.generated = generated(s, slot) + (1 if r.state == LEAVING else 0)
        row.output = r.output if oracle else 0
        row.arrived = r.arrival - s.clock.from_now
        many += 1
        slot = r.after
    return many


@kernel
def _show_content(memory, view, s):
    """Fill in what requests share, and what of the head of the queue is in the cache."""
    slot = s.lists[RUNNING].first
    for i in range(view.facts.shown_running):
        view.running[i].shared = shared(memory, s, slot)
        slot = s.requests[slot].after
    slot = s.lists[QUEUE].first
    for i in range(view.facts.shown_waiting):
        row = view.waiting[i]
        row.cached = row.shared = 0
        if i < SHOWN_CONTENT:
            row.cached, row.shared = found(memory, s, slot)
            slot = s.requests[slot].after


@kernel
def note_gone(s, how, prompt, generated, limit):
    """Tell the policy of a request that left memory."""
    clock = s.clock
    if clock.shows == 0 or clock.gone == s.gone.size:
        return
    row = s.gone[clock.gone]
    row.how, row.prompt, row.generated, row.limit = how, prompt, generated, limit
    clock.gone += 1
