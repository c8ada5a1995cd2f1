"""A fit to a recorded run, and how far the simulation is from the rest of it, as plain data."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from kvsteady import __version__
from kvsteady.arrays import FloatArray
from kvsteady.memory import ModelConfig
from kvsteady.saved import Record, Saved
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.fit.compare import Errors, Mask, Metric, running_at
from kvsteady.simulate.fit.fit import fit_time
from kvsteady.simulate.fit.recorded import RecordedRun
from kvsteady.simulate.fit.replay import TERMS, Replayed, replay_on
from kvsteady.simulate.gaps import gap_quantile
from kvsteady.simulate.results.simulation import Curve
from kvsteady.simulate.times.fitted import FittedTime, Shape
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.simulate.times.roofline import roofline

#: What a fit leans to where no model and GPU are named: the size of terms of an 8B model.
PRIOR = LinearTime(0.01, 4e-5, 4e-5, 6e-8, has_prefill=2e-3)
#: KV tokens of the replay where nothing is said: recordings that never evict need no more.
AMPLE = 1_000_000
_SHARES = tuple(np.linspace(0.0, 1.0, 101))


class Compared(Record, frozen=True):
    """A latency of the requests that are judged, milliseconds: p50, p90 and p99 of both."""

    name: str
    recorded: tuple[float, float, float]
    simulated: tuple[float, float, float]
    errors: tuple[float, float, float]
    median_error: float
    recorded_curve: Curve
    simulated_curve: Curve


class Rate(Record, frozen=True):
    """Something per second, recorded and simulated."""

    name: str
    recorded: float
    simulated: float

    @property
    def error(self) -> float:
        """Relative error."""
        return self.simulated / self.recorded - 1.0 if self.recorded else 0.0


class FitReport(Saved, frozen=True, kw_only=True):
    """What was fitted to which part of a recording, and how good it is on the other.

    ``trained`` requests finished by ``until`` seconds; the ``judged`` were scheduled after it and
    share no iteration with them (all requests, where ``until`` is null). ``rates`` are of what
    finished after ``until``. Latencies are milliseconds, ``time`` seconds per unit of each term.
    """

    schema_version: int = 1
    kvsteady_version: str
    model: str
    engine: str
    gpu: str
    tensor_parallel: int
    requests: int
    until: float | None
    trained: int
    judged: int
    time: dict[str, float]
    latencies: tuple[Compared, ...]
    rates: tuple[Rate, ...]
    simulated_itl_ms: tuple[float, float, float]
    mean_running_distance: float
    kv_tokens: int
    max_kv_tokens_held: int
    running_recorded: Curve
    running_simulated: Curve
    kv_tokens_held: Curve
    notes: tuple[str, ...]
    fitted: FittedTime = msgspec.field(name="saved")


def quarter(run: RecordedRun) -> float:
    """The second by which a quarter of the requests had finished: what is fitted to, if unsaid."""
    return float(np.sort(run.finish)[run.finish.size // 4])


def fit_report(
    run: RecordedRun,
    *,
    until: float | None,
    model: ModelConfig | None = None,
    gpu: str | None = None,
    kv_tokens: int = AMPLE,
) -> FitReport:
    """Fit an iteration time to a recorded vLLM run, and compare a simulated run with it.

    Parameters
    ----------
    run
        The recording.
    until
        Fit to requests that finished by this second and judge by those scheduled later; None: fit
        to all, and judge by all.
    model, gpu
        Both: the fit leans to their roofline, else to `PRIOR`.
    kv_tokens
        Memory of the replay.

    Raises
    ------
    InputError
        As `fit_time` does, or nobody is left to judge by.
    """
    engine = Vllm(
        max_num_seqs=run.max_num_seqs,
        max_num_batched_tokens=run.max_num_batched_tokens,
        async_scheduling=True,  # the default of the recorded version
    )
    replay = replay_on(run, engine, kv_tokens=kv_tokens)
    known = model is not None and gpu is not None
    prior = PRIOR
    if model is not None and gpu is not None:
        prior = roofline(model, gpu, tensor_parallel=run.tensor_parallel).summed()
    fit = fit_time(run, replay, prior, until=until)
    again = replay(fit.time)
    judged = np.ones(run.arrival.size, dtype=bool) if until is None else run.scheduled > until
    errors = fit.held_out if until is not None and fit.held_out is not None else fit.trained
    trained = run.arrival.size if until is None else int((run.finish <= until).sum())
    notes = _notes(run, until, known=known)
    return FitReport(
        kvsteady_version=__version__,
        model=run.model,
        engine=f"vLLM {run.version}",
        gpu=gpu or "not named",
        tensor_parallel=run.tensor_parallel,
        requests=run.arrival.size,
        until=until,
        trained=trained,
        judged=errors.requests,
        time={name: float(f"{getattr(fit.time, name):.4g}") for name in TERMS},
        latencies=_latencies(run, again, judged, errors),
        rates=_rates(run, again, until or 0.0),
        simulated_itl_ms=_in_ms(
            (
                gap_quantile(again.gaps, 0.5),
                gap_quantile(again.gaps, 0.9),
                gap_quantile(again.gaps, 0.99),
            )
        ),
        mean_running_distance=errors.running,
        kv_tokens=kv_tokens,
        max_kv_tokens_held=int(again.held.max(initial=0)),
        running_recorded=_curve(run.ticks, run.running),
        running_simulated=_curve(run.ticks, running_at(run, again)),
        kv_tokens_held=_curve(run.ticks, _held_at(run, again)),
        notes=notes,
        fitted=_saved(run, fit.time, model, gpu, trained, errors),
    )


def _notes(run: RecordedRun, until: float | None, *, known: bool) -> tuple[str, ...]:
    found = [
        "Single tokens were not recorded: the recorded mean ITL is the TPOT. Simulated percentiles "
        "of ITL are over all tokens of the whole run.",
        "KV usage is simulated; the recording's is not used.",
    ]
    if until is None:
        found.append("Fitted to all requests: the errors are those of the fit, not of a forecast.")
    if not known:
        found.append("No model and GPU named: what the recording leaves open leans to an 8B model.")
    return tuple(found)


def _times(
    arrival: FloatArray, first: FloatArray, finish: FloatArray, output: FloatArray
) -> dict[str, FloatArray]:
    return {
        "TTFT": first - arrival,
        "TPOT = mean ITL": (finish - first) / np.maximum(output - 1, 1),
        "E2E": finish - arrival,
    }


def _latencies(
    run: RecordedRun, again: Replayed, judged: Mask, errors: Errors
) -> tuple[Compared, ...]:
    output = run.output.astype(np.float64)
    recorded = _times(run.arrival, run.first_token, run.finish, output)
    simulated = _times(run.arrival, again.first_token, again.finish, output)
    metrics = zip(recorded, (errors.ttft, errors.tpot, errors.e2e), strict=True)
    return tuple(
        _compared(name, metric, recorded[name][judged], simulated[name][judged])
        for name, metric in metrics
    )


def _compared(name: str, of: Metric, recorded: FloatArray, simulated: FloatArray) -> Compared:
    def quantiles(seconds: FloatArray) -> Curve:
        return _curve(1000 * np.quantile(seconds, _SHARES), np.array(_SHARES))

    low, middle, high = of.errors
    return Compared(
        name,
        _in_ms(of.recorded),
        _in_ms(of.simulated),
        (low, middle, high),
        of.median_error,
        quantiles(recorded),
        quantiles(simulated),
    )


def _in_ms(seconds: tuple[float, float, float]) -> tuple[float, float, float]:
    low, middle, high = seconds
    return 1000 * low, 1000 * middle, 1000 * high


def _rates(run: RecordedRun, again: Replayed, since: float) -> tuple[Rate, ...]:
    """Of what finished after a moment, over the time from it to the last of them."""

    def per_second(finish: FloatArray, what: Callable[[Mask], float]) -> float:
        late = finish > since
        return what(late) / (float(finish.max()) - since)

    counted: dict[str, Callable[[Mask], float]] = {
        "requests/s": lambda late: float(late.sum()),
        "output tokens/s": lambda late: float(run.output[late].sum()),
    }
    return tuple(
        Rate(name, per_second(run.finish, what), per_second(again.finish, what))
        for name, what in counted.items()
    )


def _held_at(run: RecordedRun, again: Replayed) -> FloatArray:
    """KV tokens held in the simulated iteration that is under way at each recorded tick."""
    place = np.searchsorted(again.start, run.ticks, side="right") - 1
    idle = run.ticks > again.start[place] + again.seconds[place]
    return np.where((place < 0) | idle, 0.0, again.held[place])


def _curve(x: object, y: object) -> Curve:
    def plain(values: object) -> tuple[float, ...]:
        return tuple(float(f"{value:.6g}") for value in np.asarray(values, dtype=np.float64))

    return Curve(plain(x), plain(y))


def _saved(
    run: RecordedRun,
    time: LinearTime,
    model: ModelConfig | None,
    gpu: str | None,
    trained: int,
    errors: Errors,
) -> FittedTime:
    share = {"TTFT": errors.ttft, "TPOT": errors.tpot, "end to end": errors.e2e}
    said = ", ".join(f"{each.median_error:.1%} ({name})" for name, each in share.items())
    return FittedTime(
        model=run.model,
        gpu=gpu or "GPU not named",
        tensor_parallel=run.tensor_parallel,
        engine=f"vLLM {run.version}",
        source=f"fitted by kvsteady {__version__} to {trained} requests of a recorded run",
        licence="that of the recording",
        notes=(f"median errors over {errors.requests} requests of the recording: {said}",),
        time=time,
        shape=None if model is None else Shape.of(model),
    )
