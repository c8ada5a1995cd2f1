"""What `check` found, as saved data: every output is a rendering of this.

The JSON form is versioned by ``schema_version``; docs/reference/check.md describes it field by
field. Numbers that do not exist (a period of nothing, an infinite doubling time) are null.
"""

from __future__ import annotations

from typing import Any, Literal

from kvsteady.advise.engine_estimate import EngineEstimate
from kvsteady.advise.record import Advice, WorkloadSummary
from kvsteady.advise.tuning.record import Tuning
from kvsteady.errors import InputError
from kvsteady.saved import Record, Saved, read_saved, schema_of

SCHEMA_VERSION = 1


class OrbitSummary(Record, frozen=True):
    """A periodic orbit of greedy admission under `restart`."""

    name: str
    throughput: float
    share_of_x_star: float
    period: int


class RunSummary(Record, frozen=True):
    """Averages over the end of one run of the model, in unpaged memory; rates per iteration.

    ``useful_tokens`` are output tokens generated and not lost again.
    ``wasted_tokens`` are generated tokens that evictions lost (`restart` decodes them again),
    ``evicted_tokens`` all KV tokens that they threw out. ``settled`` is False where the run was too
    short for the dominant mode to grow or die.
    """

    policy: Literal["greedy", "rate cap"]
    arithmetic: Literal["fluid", "integer"]
    start: Literal["disturbed equilibrium", "empty"]
    iterations: int
    throughput: float
    useful_tokens: float
    evictions: float
    evicted_tokens: float
    wasted_tokens: float
    memory: float
    settled: bool


class ResumeCost(Record, frozen=True):
    """What evictions cost where generated tokens are kept (`resume`).

    ``recompute_tax`` is recomputed over all prefilled tokens, None where there is no estimate;
    ``source`` says how it was estimated and how far to trust it.
    """

    recompute_tax: float | None
    evictions_per_completion: float
    source: str


class Proof(Record, frozen=True):
    """Where the roots of the survival polynomial lie, proved by exact or ball arithmetic.

    Counts are None where the proof did not come to an end.
    """

    outcome: Literal["stable", "unstable", "marginal", "undecided"]
    roots_outside: int | None
    roots_on_circle: int | None
    method: str


class Setting(Record, frozen=True):
    """One setting to paste into an engine."""

    paste: str
    effect: str
    source: str


class EngineSettings(Record, frozen=True):
    """Settings for one engine, with its version and what it does to evicted requests."""

    engine: str
    version: str
    eviction: Literal["restart", "resume", "swap", "none"]
    note: str
    settings: tuple[Setting, ...]


class Curve(Record, frozen=True):
    """Points of a curve, x ascending, at most a few hundred; both in the units of its field."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class RunCurves(Record, frozen=True):
    """A run from its first iteration: share of KV tokens in use, requests running, requests
    evicted and completed per iteration.

    Each point stands for ``stretch`` iterations: memory for their maximum, the others for their
    mean.
    """

    title: str
    policy: Literal["greedy", "rate cap"]
    arithmetic: Literal["fluid", "integer"]
    stretch: int
    memory: Curve
    running: Curve
    evicted: Curve
    completed: Curve


class Curves(Record, frozen=True):
    """What the plots show.

    ``output_law`` is P(output > n) over n tokens, ``weights`` the survival weights over age,
    ``modes`` leading roots as (Re, Im) with Im ≥ 0, ``runs`` greedy and capped runs.
    """

    output_law: Curve
    prompt_law: Curve
    weights: Curve
    modes: tuple[tuple[float, float], ...]
    degree: int
    runs: tuple[RunCurves, ...]


class Analysis(Saved, frozen=True, kw_only=True):
    """The result of `check`.

    Rates are requests per iteration. ``restart_loss`` is the share of the equilibrium's output
    tokens that greedy admission loses in the fluid model when evictions lose progress
    (`restart`); what they cost where progress is kept stands under ``resume``. ``proof`` is there
    if one was asked for, and then the verdict rests on it; ``engine`` and ``tuning`` if an engine
    was named: the advice then begins with what to do about it.
    """

    schema_version: int = SCHEMA_VERSION
    kvsteady_version: str
    verdict: str
    verdict_text: str
    kv_tokens: int
    block_size: int
    memory_notes: tuple[str, ...]
    workload: WorkloadSummary
    x_star: float
    x_star_blocks: float
    running: float
    prefill_tokens: float
    weights_monotone: Literal["decreasing", "increasing", "neither"]
    roots_outside: int | None
    spectral_radius: float
    spectral_radius_low: float
    spectral_radius_high: float
    dominant_period: float | None
    doubling_iterations: float | None
    halving_iterations: float | None
    gcd: int
    worst_cycle_throughput: float
    worst_cycle_source: str
    restart_loss: float
    resume: ResumeCost
    rate_cap: float
    rate_cap_given_up: float
    reservation_throughput: float
    orbits: tuple[OrbitSummary, ...]
    runs: tuple[RunSummary, ...]
    advice: tuple[Advice, ...]
    settings: tuple[EngineSettings, ...]
    curves: Curves
    proof: Proof | None = None
    engine: EngineEstimate | None = None
    tuning: Tuning | None = None


def load_analysis(data: bytes, *, file: str | None = None) -> Analysis:
    """Read back the JSON of an `Analysis`.

    Raises
    ------
    InputError
        Not JSON, of another schema version, or a field missing or of the wrong type.
    """
    analysis = read_saved(data, Analysis, version=SCHEMA_VERSION, what="analysis", file=file)
    _check_drawable(analysis, file)
    return analysis


def _check_drawable(analysis: Analysis, file: str | None) -> None:
    """Raise `InputError` where an edited file holds what no analysis could."""
    positive = {
        "x_star": analysis.x_star,
        "kv_tokens": analysis.kv_tokens,
        "rate_cap": analysis.rate_cap,
        "orbits.period": min((orbit.period for orbit in analysis.orbits), default=0),
        "curves.runs": min((len(run.completed.x) for run in analysis.curves.runs), default=0),
        "curves.weights": len(analysis.curves.weights.x),
        "curves.output_law": len(analysis.curves.output_law.x),
        "curves.prompt_law": len(analysis.curves.prompt_law.x),
        "runs": len(analysis.runs),
    }
    for field, value in positive.items():
        if not value > 0:
            raise InputError(f"{value}", file=file, field=field, allowed="above 0")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of an `Analysis`, alike on every Python."""
    return schema_of(Analysis)
