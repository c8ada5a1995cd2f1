"""What happened over time, as means over stretches, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray

STRETCHES = 512
_FIRST_WIDTH = 1e-3

# What is added up per stretch.
_SUMS = ("rows", "running", "waiting", "used", "preempted", "completed")


class Series:
    """Sums of log rows per stretch of time; stretches double when a run outgrows them.

    A row counts where it starts. ``blocks`` are those of all replicas.
    """

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self._width = _FIRST_WIDTH
        self._sums = {name: np.zeros(STRETCHES) for name in _SUMS}
        self._peak = np.zeros(STRETCHES)

    def add(self, rows: Any, blocks: int) -> None:
        """Take in `records.ITERATION` rows of a replica with ``blocks`` blocks."""
        if not rows.size:
            return
        while rows["start"].max() >= STRETCHES * self._width:
            self._double()
        place = (rows["start"] / self._width).astype(np.int64)
        used, seconds = blocks - rows["free_blocks"], rows["seconds"]
        for name, values in (
            ("rows", np.ones(rows.size)),
            ("running", rows["running"] * seconds),
            ("waiting", rows["waiting"] * seconds),
            ("used", used * seconds),
            ("preempted", rows["preempted"].astype(np.float64)),
            ("completed", rows["completed"].astype(np.float64)),
        ):
            self._sums[name] += np.bincount(place, weights=values, minlength=STRETCHES)
        np.maximum.at(self._peak, place, used / blocks)

    def _double(self) -> None:
        self._width *= 2
        for name in _SUMS:
            self._sums[name] = _in_pairs(self._sums[name])
        pairs = self._peak.reshape(-1, 2).max(axis=1)
        self._peak = np.append(pairs, np.zeros(STRETCHES // 2))

    def read(self, end: float) -> dict[str, FloatArray]:
        """Means per stretch up to ``end`` seconds: arrays of one length, ``time`` among them.

        Stretches are long enough to hold four rows on average.
        """
        while self._width < end and end / self._width > max(self._sums["rows"].sum() / 4, 1):
            self._double()
        # A last stretch of less than half the length would show chance.
        count = max(1, min(STRETCHES, int(end / self._width + 0.5)))
        starts = np.arange(count) * self._width
        length = np.minimum(self._width, np.maximum(end - starts, 1e-12))
        per_second = {name: self._sums[name][:count] / length for name in _SUMS}
        return {
            "time": starts + length / 2,
            "usage": np.minimum(per_second["used"] / max(self._blocks, 1), 1.0),
            "peak": self._peak[:count],
            "running": per_second["running"],
            "waiting": per_second["waiting"],
            "preempted": per_second["preempted"],
            "completed": per_second["completed"],
        }


def _in_pairs(values: FloatArray) -> FloatArray:
    return np.append(values.reshape(-1, 2).sum(axis=1), np.zeros(STRETCHES // 2))


# A queue shorter than this is chance.
_SHORT = 8
# Share of the completions by which a growing queue grows at least.
_SHARE = 0.05


def queue_grows(series: dict[str, FloatArray], since: float, until: float) -> bool:
    """Whether more and more requests waited from ``since`` to ``until``.

    So it is if the mean queue rose from quarter to quarter after the first, and from the second to
    the fourth by over 5% of what completed in that time (and by over 8 requests).
    """
    during = (series["time"] >= since) & (series["time"] <= until)
    waiting, completed = series["waiting"][during], series["completed"][during]
    if waiting.size < 8:
        return False
    quarters = [float(part.mean()) for part in np.array_split(waiting, 4)]
    growth = quarters[3] - quarters[1]
    served = float(completed.mean()) * (until - since) / 2
    return quarters[1] < quarters[2] < quarters[3] and growth > max(_SHORT, _SHARE * served)
