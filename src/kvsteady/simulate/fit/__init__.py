"""Iteration times from a recorded run, and how well they predict the rest of it."""

from __future__ import annotations

from kvsteady.simulate.fit.compare import Errors, Metric, compare
from kvsteady.simulate.fit.fit import TimeFit, fit_time
from kvsteady.simulate.fit.recorded import RecordedRun, read_recorded
from kvsteady.simulate.fit.replay import Replay, Replayed, replay_on
from kvsteady.simulate.fit.report import Compared, FitReport, Rate, fit_report

__all__ = [
    "Compared",
    "Errors",
    "FitReport",
    "Metric",
    "Rate",
    "RecordedRun",
    "Replay",
    "Replayed",
    "TimeFit",
    "compare",
    "fit_report",
    "fit_time",
    "read_recorded",
    "replay_on",
]
