"""One engine at work: the kernels' arrays, fed from a load and emptied into records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kvsteady.admission import Policy, Setup, victim_of
from kvsteady.errors import KvsteadyError
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import Eviction
from kvsteady.simulate import arriving, records
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loop import advance
from kvsteady.simulate.regulating import NO_POLICY, shows, view_of
from kvsteady.simulate.state import more_slots, new_state, set_pace
from kvsteady.simulate.times.protocol import IterationTime
from kvsteady.simulate.victims import victim_code
from kvsteady.workload.law import Workload

Sink = Callable[[Any], None]


def _ignore(rows: Any) -> None:
    del rows


class SimulationError(KvsteadyError):
    """An engine that can make no progress."""


class Machine:
    """An engine with its memory and its clock; see `kvsteady.simulate.simulate` for whole runs.

    Parameters
    ----------
    engine, kv_tokens, time
        The engine, the KV tokens it has (whole blocks are used), what an iteration takes.
    feed
        Requests; None where they are pushed in (`push`), as a router does.
    eviction, pace
        What evicted requests keep; how many requests may be admitted per iteration.
    policy, workload
        An admission policy that is asked in each iteration, instead of a pace; the law of lengths
        from which it may take its constants.
    finished, iterations
        Called with copies of full batches of `records.LEFT` and `records.ITERATION` rows.
    log_every
        Iterations that one row of the log stands for; 0 for no log.
    swap_seconds_per_token
        Seconds that an iteration takes longer for each KV token swapped out or in.
    """

    def __init__(
        self,
        engine: Engine,
        kv_tokens: int,
        time: IterationTime,
        feed: Feed | None = None,
        *,
        eviction: Eviction = Eviction.RESUME,
        pace: Pace = UNLIMITED,
        policy: Policy | None = None,
        workload: Workload | None = None,
        finished: Sink = _ignore,
        iterations: Sink = _ignore,
        log_every: int = 0,
        largest_output: int = 4096,
        largest_prompt: int = 4096,
        swap_seconds_per_token: float = 0.0,
    ) -> None:
        if feed is not None:
            largest_output, largest_prompt = feed.largest_output, feed.largest_prompt
        if hasattr(engine, "longest_decode"):
            largest_output = engine.longest_decode(largest_prompt, largest_output)
        blocks = kv_tokens // engine.block_size
        self.engine = engine
        self.state = new_state(
            blocks=blocks,
            block_size=engine.block_size,
            eviction=eviction,
            unwritten=engine.unwritten,
            largest_output=largest_output,
            patience=10 * (largest_output + largest_prompt) + 10_000,
        )
        self._time = time.form()
        self._finished, self._iterations = finished, iterations
        self._batches: Iterator[Any] = iter(()) if feed is None else feed.batches
        self._pushed = feed is None or feed.pushed
        self.clock["endless"] = feed is None or feed.total is None
        self._pending = np.zeros(0, dtype=records.ARRIVAL)
        self.clock["log_every"] = log_every
        self.clock["swap_seconds"] = swap_seconds_per_token
        set_pace(self.state, pace.rate, pace.depth)
        if feed is not None:
            self._connect(feed, blocks)
        self._setup = Setup(kv_tokens, engine.block_size, engine.unwritten, workload)
        self.policy = NO_POLICY
        self.view = view_of(self.state)
        if policy is not None:
            self.adopt(policy)
        self.habits = engine.habits()
        self.memory = engine.memory(blocks, self.slots)
        if hasattr(self.memory, "fitted"):
            self.memory = self.memory.fitted(
                0 if feed is None else feed.key_tokens,
                largest_prompt + largest_output,
                engine.block_size,
            )

    def _connect(self, feed: Feed, blocks: int) -> None:
        state = self.state._replace(turns=feed.turns, keys=feed.keys)
        # The scheduler sees a queue as long as it could admit from in one iteration.
        wanted = 1024
        if feed.on_demand:
            least = -(-max(feed.smallest_prompt, 1) // self.engine.block_size)
            self.clock["backlog"] = blocks // least + 1
            wanted = 2 * (blocks // least + 1)
        if feed.on_demand or feed.clients:
            self.clock["horizon"] = math.inf
        self.clock["clients"] = 1 if feed.clients else 0
        self.state = more_slots(state, max(wanted, 2 * feed.clients))
        coming = self.state.coming
        coming["row"][: feed.clients] = records.NONE
        coming["order"][: feed.clients] = np.arange(feed.clients) - feed.clients
        self.clock["heap"] = feed.clients

    @property
    def clock(self) -> Any:
        """The `records.CLOCK` of this run."""
        return self.state.clock

    @property
    def slots(self) -> int:
        """Requests that there is room for."""
        return int(self.state.requests.size)

    def adopt(self, policy: Policy) -> None:
        """Ask this policy from the next iteration on; it knows nothing of those before, and its
        counts begin at 0.

        Raises
        ------
        InputError
            It has an order of victims, and the engine has a rule of its own only.
        """
        self.clock["victim"] = victim_code(victim_of(policy), self.engine)
        self.policy = policy.start(self._setup)
        for name in ("iteration", "tick", "now"):
            self.clock[f"from_{name}"] = self.clock[name]
        for name in ("arrived", "admitted", "preempted", "completed"):
            self.clock[f"from_{name}"] = self.clock[f"all_{name}"]
        self.clock["gone"] = 0
        self.clock["shows"] = shows(policy)
        self.clock["rate"] = 0  # the policy refills the allowance

    def push(self, rows: Any, horizon: float) -> None:
        """Put arrivals in by hand; all that come before ``horizon`` (seconds) are known now."""
        self._pending = np.concatenate([self._pending, rows]) if self._pending.size else rows
        self._fill()
        self.clock["horizon"] = horizon

    def close(self) -> None:
        """No more arrivals will be pushed."""
        self._pushed = False

    def run(self, iterations: int) -> int:
        """Run so many iterations, or until the end; returns why it stopped (`arriving`).

        ``GO``: as many as asked for. ``REFILL``: the horizon of pushed arrivals is reached.
        """
        last = int(self.clock["iteration"]) + iterations
        while True:
            left = last - int(self.clock["iteration"])
            why = int(self._advance(left))
            if why == arriving.FLUSH:
                self.flush()
            elif why == arriving.GROW:
                self._grow()
            elif why != arriving.REFILL or not self._refill():
                return why

    def _advance(self, iterations: int) -> int:
        parts = self.habits, self.memory, self.policy, self.view, self.state
        return advance(*parts, self._time, iterations)  # type: ignore[no-any-return]  # a kernel

    def flush(self) -> None:
        """Hand the rows that are complete to the sinks."""
        clock, state = self.clock, self.state
        # A row leaves the books before it is handed over: an interrupt hands none over twice.
        if clock["out"]:
            rows = state.outbox[: clock["out"]].copy()
            clock["out"] = 0
            self._finished(rows)
        if clock["logged"]:
            rows = state.log[: clock["logged"]].copy()
            # The row in the making moves to the front.
            state.log[0] = state.log[clock["logged"] % state.log.size]
            clock["logged"] = 0
            self._iterations(rows)

    def _grow(self) -> None:
        self.state = more_slots(self.state, self.slots)
        self.view = view_of(self.state)
        if hasattr(self.habits, "grown"):
            self.habits = self.habits.grown(self.slots)
        if hasattr(self.memory, "grown"):
            self.memory = self.memory.grown(self.slots)

    def _refill(self) -> bool:
        """Put the next rows in the inbox; False where a router has to say more first."""
        if self._pushed or not self.clock["more"]:
            return self._fill()
        if not self._pending.size:
            self._pending = next(self._batches, self._pending)
        if not self._pending.size:
            self.clock["more"] = 0
            self.clock["horizon"] = math.inf
            return True
        self._fill()
        if not self.clock["backlog"] and not self.clock["clients"]:
            # Rows of the same time may follow the last one.
            self.clock["horizon"] = self.state.inbox["time"][self.clock["rows"] - 1]
        return True

    def _fill(self) -> bool:
        """Move what is pending into the inbox, behind what it still holds."""
        clock, inbox = self.clock, self.state.inbox
        rest = int(clock["rows"] - clock["cursor"])
        room = min(inbox.size - rest, self._pending.size)
        if room == 0:
            return False
        inbox[:rest] = inbox[clock["cursor"] : clock["rows"]].copy()
        inbox[rest : rest + room] = self._pending[:room]
        self._pending = self._pending[room:]
        clock["cursor"], clock["rows"] = 0, rest + room
        return True
