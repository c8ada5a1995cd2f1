"""Follow the requests of Transformers' scheduler: who waits, runs and left; tokens computed."""

from __future__ import annotations

import time
from typing import Any

from kvsteady.admission import COMPLETED, EVICTED
from kvsteady.admission.view import SHOWN_WAITING, SeenRow
from kvsteady.plugins.regulator import Regulator
from kvsteady.plugins.transformers.requests import Rows, is_complete, row_of

_clock = time.perf_counter  # as the engine does for its requests


class Watch:
    """Keeps the view of a policy up to date from what the scheduler does.

    Parameters
    ----------
    scheduler
        The engine's; nothing of it is changed here.
    regulator
        Whose view and ledger are kept.
    """

    def __init__(self, scheduler: Any, regulator: Regulator) -> None:
        self.scheduler, self.regulator = scheduler, regulator
        self._start = _clock()
        self.running = Rows(lambda many: regulator.room_for(many).running)
        self.waiting = Rows(lambda _: regulator.view.waiting)
        # The one kind of attention there is: the engine's blocks are its blocks.
        [self._blocks] = scheduler.cache.cache_allocators.values()
        self._steps = self._ticks = self._arrived = 0
        self._late: int | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew: the engine has dropped all requests."""
        self.running.clear()
        self.waiting.clear()
        self._left: dict[str, tuple[SeenRow, int]] = {}  # unfinished, with their KV tokens
        self._lost: dict[str, int] = {}  # KV tokens of evicted requests, by name
        # When evicted requests arrived: those whose KV was dropped come back as new ones.
        self._came: dict[str, float] = {}
        self._prefilling: set[str] = set()
        self._before = 0

    # What the engine tells.

    def came(self, state: Any) -> None:
        """A request was put into the queue, for the first time or evicted."""
        name = state.request_id
        again = state.is_cpu_offloaded or state._true_initial_tokens > 0
        if not (again and name in self._left):
            self._arrived += 1
            return
        row, tokens = self._left.pop(name)
        self._came[name] = row[-1]
        self.regulator.gone(EVICTED, *row[:3])
        self.regulator.ledger.evicted += 1
        self._lost[name] = 0 if state.is_cpu_offloaded else tokens

    def leaves(self, state: Any) -> None:
        """A request leaves memory: complete, given up, or evicted, which `came` says next."""
        name = state.request_id
        self._remove(name)
        if is_complete(state):
            self.regulator.gone(COMPLETED, *self._row(state)[:3])
            self.regulator.ledger.completed += 1
            self._came.pop(name, None)
        else:
            self._left[name] = self._row(state), state.position_offset

    def cancelled(self, name: str) -> None:
        """A request is given up, wherever it is: no policy learns from that."""
        self._remove(name)
        self._lost.pop(name, None)
        self._came.pop(name, None)
        self.waiting.remove(name)

    def _remove(self, name: str) -> None:
        if self.running.remove(name):
            self._before -= 1
            self._prefilling.discard(name)

    # What the policy sees.

    def fill(self) -> None:
        """Write the view."""
        scheduler, regulator = self.scheduler, self.regulator
        active, queue = scheduler.active_requests, scheduler.waiting_requests
        while self._left:  # given up
            self._came.pop(self._left.popitem()[0], None)
        if len(self.running.names) != len(active):
            self._look_again(active)
        if len(self.waiting.names) > len(queue):
            self.waiting.clear()
        order = scheduler.waiting_requests_order
        self.waiting.catch_up(order, lambda name: self._row(queue[name]), SHOWN_WAITING)
        facts, ledger = regulator.room_for(len(active)).facts, regulator.ledger
        facts["iteration"], facts["ticks"] = self._steps, self._ticks
        facts["now"] = _clock() - self._start  # after the rows: nobody in them came later
        facts["block"], facts["blocks"] = self._blocks.tokens_per_page, self._blocks.num_blocks
        facts["free"] = self.free() + self.kept()
        facts["running"] = facts["shown_running"] = len(active)
        facts["waiting"], facts["shown_waiting"] = len(queue), len(self.waiting.names)
        facts["arrived"], facts["admitted"] = self._arrived, ledger.admitted
        facts["evicted"], facts["completed"] = ledger.evicted, ledger.completed
        facts["unwritten"], facts["late"] = 1, self._lateness(active)

    def _row(self, state: Any, shared: int = 0) -> SeenRow:
        came = self._came.get(state.request_id)
        if came is None:
            # By another machine's clock, whose rank 0 took it in, it may come from the future.
            came = min(state.created_time, _clock()) - self._start
        return row_of(state, came, shared)

    def free(self) -> int:
        """Free blocks."""
        blocks, pool = self._blocks, self.scheduler.cache.pool
        in_sectors: int = pool.num_free_sectors * blocks.blocks_per_sector
        return in_sectors + int(pool.count_free_blocks(blocks.index))

    def kept(self) -> int:
        """Blocks that nobody holds and that are kept for the prefix in them."""
        return len(self._blocks.ledger.cached_blocks)

    def wanted(self, admissions: int) -> int:
        """Blocks that this iteration takes: of those who decode, and for the queue's head."""
        page = self._blocks.tokens_per_page
        head, rows = self.waiting.filled[:admissions], self.running.filled
        # The last token of each who runs is not in memory yet.
        at_an_edge = (rows["prompt"] + rows["generated"]) % page == 1 % page
        wanted = int(at_an_edge.sum())
        if self._prefilling:
            wanted -= sum(
                bool(edge) and name in self._prefilling
                for name, edge in zip(self.running.names, at_an_edge, strict=True)
            )
        return wanted + int((-(-(head["prompt"] + head["generated"]) // page)).sum())

    def _look_again(self, active: dict[str, Any]) -> None:
        """Somebody came in by a way of his own: the further answers to one prompt do."""
        more = len(active) - len(self.running.names)
        self.running.clear()
        for name, state in active.items():
            row = self._row(state)
            generated = row[1]
            if state.status.name == "PREFILLING":
                self._prefilling.add(name)
            else:
                generated = max(generated, state.position_offset + 1 - row[0])
            self.running.append(name, (row[0], generated, *row[2:]))
        if more > 0:
            self._arrived += more
            self.regulator.ledger.admitted += more

    def _lateness(self, active: dict[str, Any]) -> int:
        """1 where a batch is planned before the one before it is done, as with asynchronous
        batching: then who decodes has all its known tokens in memory, and else all but one.
        """
        if self._late is None:
            for state in active.values():
                if state.status.name == "DECODING":
                    known = len(state.initial_tokens) + len(state.generated_tokens)
                    self._late = int(state.position_offset >= known)
                    break
        return self._late or 0

    # What the engine did.

    def begin(self) -> None:
        """An iteration begins; it may take several attempts to plan its batch."""
        self._before = len(self.scheduler.active_requests)

    @property
    def admitted(self) -> int:
        """Requests admitted since `begin`."""
        return len(self.scheduler.active_requests) - self._before

    def end(self, scheduled: list[Any], tokens: int) -> None:
        """An iteration's batch is planned, of so many tokens."""
        scheduler, ledger = self.scheduler, self.regulator.ledger
        active, admitted = scheduler.active_requests, self.admitted
        young, self._prefilling = self._prefilling, set()
        decoders = len(active) - admitted - len(young)
        resumed = 0
        for name in [*active][len(active) - admitted :] if admitted else ():
            resumed += self._enter(active[name])
            young.add(name)
        for name in young:
            if active[name].status.name == "PREFILLING":
                self._prefilling.add(name)
        if len(scheduled) < len(active):
            decoders = sum(future.state.request_id not in young for future in scheduled)
        if len(scheduled) == len(active) and not self._prefilling:
            self.running.gain(None)
        else:
            ready = (future for future in scheduled if future.has_new_token)
            self.running.gain(future.state.request_id for future in ready)
        self._steps += 1
        self._ticks += decoders > 0
        ledger.decoded += decoders
        ledger.prefilled += tokens - decoders
        self.regulator.settle(admitted, resumed)

    def _enter(self, state: Any) -> bool:
        """Take down an admission; returns whether it came after an eviction."""
        name = state.request_id
        self.waiting.remove(name)
        # Nothing is computed yet: what it has in memory it shares, or is copied back.
        shared = 0 if state.is_cpu_offloaded else state.position_offset
        self.running.append(name, self._row(state, shared))
        lost = self._lost.pop(name, None)
        if lost is None:
            return False
        self.regulator.ledger.recomputed += max(lost - shared, 0)
        return True
