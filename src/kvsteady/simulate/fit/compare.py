"""A simulated run beside the recorded one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray
from kvsteady.simulate.fit.recorded import RecordedRun
from kvsteady.simulate.fit.replay import Replayed

PERCENTILES = (50, 90, 99)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Metric:
    """One time of the chosen requests, in seconds.

    Parameters
    ----------
    recorded, simulated
        Their p50, p90 and p99.
    median_error
        The median over requests of |simulated / recorded − 1|.
    """

    recorded: tuple[float, float, float]
    simulated: tuple[float, float, float]
    median_error: float

    @property
    def errors(self) -> tuple[float, ...]:
        """Relative error of each percentile."""
        return tuple(s / r - 1.0 for s, r in zip(self.simulated, self.recorded, strict=True))


@dataclass(frozen=True)
class Errors:
    """How far a simulated run is from the recorded one.

    Parameters
    ----------
    requests
        How many the first three are about.
    ttft, tpot, e2e
        Time to first token, time per output token after it (which is also the mean time between
        tokens: single ones were not recorded), and from arrival to the last token.
    output_throughput
        Output tokens per second of the whole run, recorded and simulated.
    running
        Mean distance of the curves of running requests, over all ticks, in requests.
    """

    requests: int
    ttft: Metric
    tpot: Metric
    e2e: Metric
    output_throughput: tuple[float, float]
    running: float


def compare(run: RecordedRun, replayed: Replayed, chosen: Mask | None = None) -> Errors:
    """Compare the times of the chosen requests (all of them by default)."""
    mask = np.ones(run.arrival.size, dtype=bool) if chosen is None else chosen
    recorded = _times(run, run.first_token, run.finish)
    simulated = _times(run, replayed.first_token, replayed.finish)
    metrics = [_metric(a[mask], b[mask]) for a, b in zip(recorded, simulated, strict=True)]
    tokens = float(run.output.sum())
    return Errors(
        requests=int(mask.sum()),
        ttft=metrics[0],
        tpot=metrics[1],
        e2e=metrics[2],
        output_throughput=(
            tokens / float(run.finish.max()),
            tokens / float(replayed.finish.max()),
        ),
        running=float(np.abs(running_at(run, replayed) - run.running).mean()),
    )


def running_at(run: RecordedRun, replayed: Replayed) -> FloatArray:
    """Return how many requests the simulated engine runs at each recorded tick."""
    admitted, finished = np.sort(replayed.scheduled), np.sort(replayed.finish)
    entered = np.searchsorted(admitted, run.ticks, side="right")
    return np.asarray(entered - np.searchsorted(finished, run.ticks, side="right"), np.float64)


def _times(
    run: RecordedRun, first: FloatArray, finish: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        first - run.arrival,
        (finish - first) / np.maximum(run.output - 1, 1),
        finish - run.arrival,
    )


def _metric(recorded: FloatArray, simulated: FloatArray) -> Metric:
    def three(times: FloatArray) -> tuple[float, float, float]:
        low, middle, high = np.percentile(times, PERCENTILES)
        return float(low), float(middle), float(high)

    worth = recorded > 0.0
    error = np.abs(simulated[worth] / recorded[worth] - 1.0)
    return Metric(three(recorded), three(simulated), float(np.median(error)) if error.size else 0.0)
