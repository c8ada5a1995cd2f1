"""A window of a run as a trace for chrome://tracing or ui.perfetto.dev."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from kvsteady.errors import InputError, shown
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import DECODING, FREE, HELD, LEAVING, PREFILLING, WAITING
from kvsteady.simulate.results.observed import Watch
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE

_WINDOW = "START:END in seconds, as in 10s:12s"
_DOING = {PREFILLING: "prefill", DECODING: "decode", HELD: "held back"}
# Events that a trace holds at most: viewers choke on more.
_MOST = 1_000_000


@dataclass
class _Track:
    """A request: what it does, since when, and what it did."""

    number: int
    doing: str
    since: float
    seen: int = 0  # the last look at which it was there


@dataclass
class ChromeTrace:
    """What happens between ``start`` and ``end`` seconds, iteration by iteration.

    Give it to `kvsteady.simulate.simulate`, then write `to_json` to a file. Requests are tracks
    with spans *queued*, *prefill*, *decode*, *preempted* (waiting after an eviction) and *held
    back*; replicas are processes with counters. The format is the Trace Event Format of Chromium.
    """

    start: float
    end: float
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < float("inf"):
            raise InputError(
                f"{self.start:g} to {self.end:g} is no window", field="window", allowed=_WINDOW
            )

    @classmethod
    def parse(cls, window: str) -> ChromeTrace:
        """Read ``10s:12s``; the letters may be left out."""
        first, _, last = (part.strip().removesuffix("s") for part in window.partition(":"))
        try:
            return cls(float(first), float(last))
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{shown(window)} is no window", field="window", allowed=_WINDOW
            ) from None

    def watch(self, replica: int, name: str) -> Watch:
        """What a replica's `Plan` calls."""
        self._note("process_name", replica, 0, {"name": name})
        return _Watcher(self, replica)

    def to_json(self) -> bytes:
        """The trace."""
        return msgspec.json.encode({"traceEvents": self.events, "displayTimeUnit": "ms"})

    def _note(self, what: str, replica: int, track: int, args: dict[str, Any]) -> None:
        self.add({"name": what, "ph": "M", "pid": replica, "tid": track, "args": args})

    def add(self, event: dict[str, Any]) -> None:
        """Put an event down, while there is room."""
        if len(self.events) < _MOST:
            self.events.append(event)


class _Watcher:
    """Turns the states of requests, seen after each iteration, into spans."""

    def __init__(self, trace: ChromeTrace, replica: int) -> None:
        self._trace, self._replica = trace, replica
        self._tracks: dict[int, _Track] = {}
        self._named = 0
        self._looks = 0

    def __call__(self, machine: Machine, start: float) -> None:
        """Look at a machine after the iteration that began at ``start``."""
        now = float(machine.clock["now"])
        requests = machine.state.requests
        self._looks += 1
        # Who is LEAVING has its last token already.
        for row in requests[(requests["state"] != FREE) & (requests["state"] != LEAVING)]:
            self._see(row, start, now)
        for name in [name for name, t in self._tracks.items() if t.seen < self._looks]:
            self._leave(name, self._tracks.pop(name), start, now)
        self._count(machine, start)
        if now >= self._trace.end:
            self._close()

    def _see(self, row: Any, start: float, now: float) -> None:
        name, state = int(row["id"]), int(row["state"])
        waits = "preempted" if row["preemptions"] > 0 else "queued"
        doing = waits if state == WAITING else _DOING[state]
        track = self._tracks.get(name)
        if track is None:
            track = self._arrive(name, waits, row, start, now)
        track.seen = self._looks
        if doing == track.doing:
            return
        if state == DECODING and track.doing in ("queued", "preempted"):
            # Its whole prefill was in this iteration.
            self._turn(name, track, "prefill", start)
            self._turn(name, track, doing, now)
        elif state == DECODING and track.doing == "prefill":
            self._turn(name, track, doing, now)
        else:
            self._turn(name, track, doing, start)

    def _arrive(self, name: int, waits: str, row: Any, start: float, now: float) -> _Track:
        self._named += 1
        self._trace._note("thread_name", self._replica, self._named, {"name": f"request {name}"})
        if self._looks == 1:  # the window begins: it has been doing what it does
            state = int(row["state"])
            doing = waits if state == WAITING else _DOING[state]
            track = _Track(self._named, doing, now)
        else:
            arrival = min(max(float(row["arrival"]), self._trace.start), start)
            track = _Track(self._named, "queued", arrival)
        self._tracks[name] = track
        return track

    def _turn(self, name: int, track: _Track, doing: str, when: float) -> None:
        self._span(name, track, when)
        track.doing, track.since = doing, when

    def _leave(self, name: int, track: _Track, start: float, now: float) -> None:
        if track.doing in ("queued", "preempted"):  # it came, got its only token, and left
            self._turn(name, track, "prefill", start)
        self._span(name, track, now)

    def _span(self, name: int, track: _Track, until: float) -> None:
        until = min(until, self._trace.end)
        if until <= track.since:
            return
        self._trace.add(
            {
                "name": track.doing,
                "ph": "X",
                "ts": 1e6 * track.since,
                "dur": 1e6 * (until - track.since),
                "pid": self._replica,
                "tid": track.number,
                "args": {"request": name},
            }
        )

    def _count(self, machine: Machine, start: float) -> None:
        clock, lists = machine.clock, machine.state.lists
        for name, values in (
            ("kv_cache_usage_perc", {"used": 1 - int(clock["least_free"]) / int(clock["total"])}),
            ("num_requests_running", {"running": int(lists["count"][RUNNING])}),
            ("num_requests_waiting", {"waiting": int(lists["count"][QUEUE])}),
        ):
            self._trace.add(
                {"name": name, "ph": "C", "ts": 1e6 * start, "pid": self._replica, "args": values}
            )

    def _close(self) -> None:
        for name, track in self._tracks.items():
            self._span(name, track, self._trace.end)
        self._tracks.clear()
