"""The main job: a system in, an analysis out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from kvsteady import __version__
from kvsteady.advise.analysis import (
    Analysis,
    OrbitSummary,
    ResumeCost,
    RunSummary,
)
from kvsteady.advise.counsel import Findings, counsel
from kvsteady.advise.curves import workload_curves
from kvsteady.advise.describe import describe
from kvsteady.advise.engine_counsel import settings_with, theory_aside
from kvsteady.advise.engine_estimate import OnEngine, estimate_engine
from kvsteady.advise.experiments import run_experiments
from kvsteady.advise.proof import proved
from kvsteady.advise.settings import engine_settings
from kvsteady.advise.tuning import Tuning, TuningProblem, tune
from kvsteady.advise.tuning.problem import name_of
from kvsteady.advise.verdict import decide
from kvsteady.model.admission import Pace
from kvsteady.model.system import System
from kvsteady.model.trajectory import Averages
from kvsteady.progress import Progress, silent
from kvsteady.theory.caps import rate_caps, reservation_rate
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.orbits import pulse_cycle, pulse_family
from kvsteady.theory.spectrum import Monotone, Stability, spectrum
from kvsteady.workload.ranges import whole_number

_MONOTONE: Final[dict[Monotone, Literal["decreasing", "increasing", "neither"]]] = {
    Monotone.DECREASING: "decreasing",
    Monotone.INCREASING: "increasing",
    Monotone.NEITHER: "neither",
}
# Throughputs that differ by less are the same cycle, averaged over a slightly different stretch.
_SAME = 1e-3


def check(
    system: System,
    *,
    memory_notes: Sequence[str] = (),
    seed: int = 0,
    certified: bool = False,
    on: OnEngine | None = None,
    progress: Progress = silent,
) -> Analysis:
    """Find out whether greedy admission falls into an eviction cycle, what it costs, what to set.

    First the theory, from the law of lengths alone, then runs of the exact model.

    Parameters
    ----------
    system
        Workload, KV capacity, block size.
    memory_notes
        How the KV capacity was found, to be kept with the result.
    seed
        Of the disturbance and of random lengths; the same seed gives the same result anywhere.
    certified
        Prove on which side of the unit circle the roots lie; can take a minute for outputs of
        thousands of tokens.
    on
        An engine to run the workload on, beside the theory: greedy and capped, and then as `tune`
        does with little effort. The advice begins with what comes of that.
    progress
        Called with iterations done and to do.

    Raises
    ------
    MissingExtraError
        A proof without exact arithmetic (``kvsteady[certify]``).
    """
    seed = whole_number(seed, "seed", 0, 2**62 - 1)
    balance, modes, caps = equilibrium(system), spectrum(system.workload), rate_caps(system)
    proof = None
    if certified:
        proof, modes = proved(system.workload, modes)
    seen = run_experiments(system, balance, modes, caps, seed=seed, progress=progress)
    disturbed, empty, whole, capped = runs = seen.summaries
    # Where a stable law could not be run for long enough, the filling of an empty memory is not
    # over and would pass for a loss.
    filling = modes.outcome is Stability.STABLE and not seen.settled
    useful = disturbed.useful_tokens
    if not filling:
        useful = min(useful, empty.useful_tokens)
    kept = useful / balance.running
    restart_loss = max(0.0, 1 - kept)
    worst, worst_source = _worst_throughput(system, kept * balance.admissions, balance.admissions)
    resume = _resume_cost(seen.resumed)
    verdict = decide(modes, restart_loss, _per_completion(whole))
    found = Findings(
        system,
        balance,
        modes,
        caps,
        verdict,
        restart_loss,
        resume,
        whole_loss=max(0.0, 1 - whole.useful_tokens / balance.running),
        capped_evictions=_per_completion(capped),
    )
    estimate, tuning = None, None
    if on is not None:
        cap = Pace(caps.steady, caps.steady + 1)
        estimate = estimate_engine(system, on, cap, seed=seed, progress=progress)
        tuning = _tuned(system, on, seed, progress)
    return Analysis(
        kvsteady_version=__version__,
        verdict=verdict.label,
        verdict_text=verdict.text,
        kv_tokens=system.kv_tokens,
        block_size=system.block_size,
        memory_notes=tuple(memory_notes),
        workload=describe(system),
        x_star=balance.admissions,
        x_star_blocks=balance.admissions_blocks,
        running=balance.running,
        prefill_tokens=balance.prefill_tokens,
        weights_monotone=_MONOTONE[modes.monotone],
        roots_outside=modes.roots_outside,
        spectral_radius=modes.radius,
        spectral_radius_low=modes.radius_low,
        spectral_radius_high=modes.radius_high,
        dominant_period=_finite(modes.dominant_period),
        doubling_iterations=_finite(modes.doubling),
        halving_iterations=_finite(modes.halving),
        gcd=modes.gcd,
        worst_cycle_throughput=worst,
        worst_cycle_source=worst_source,
        restart_loss=restart_loss,
        resume=resume,
        rate_cap=caps.steady,
        rate_cap_given_up=caps.given_up,
        reservation_throughput=reservation_rate(system),
        orbits=tuple(
            OrbitSummary(
                name=orbit.name,
                throughput=orbit.throughput,
                share_of_x_star=orbit.throughput / balance.admissions,
                period=orbit.period,
            )
            for orbit in pulse_family(system)
        ),
        runs=runs,
        advice=theory_aside(counsel(found), tuning),
        settings=settings_with(engine_settings(system, balance, caps, act=found.act), tuning),
        curves=workload_curves(system.workload, modes, seen.curves),
        proof=proof,
        engine=estimate,
        tuning=tuning,
    )


def _tuned(system: System, on: OnEngine, seed: int, progress: Progress) -> Tuning | None:
    """A first look at what the engine gains from; None for an engine of somebody's own."""
    if name_of(on.engine) is None:
        return None
    return tune(TuningProblem(system, on), seed=seed % 2**61, effort="quick", progress=progress)


def _worst_throughput(system: System, ends: float, x_star: float) -> tuple[float, str]:
    """Throughput of the worst cycle known under `restart`, and where the number comes from.

    ``ends`` is the worse end of the fluid runs, in requests of mean length per iteration.
    """
    orbit = pulse_cycle(system)
    if orbit.throughput <= ends * (1 + _SAME) and system.workload.gcd > 1:
        one = len(system.workload) == 1
        name = "worst cycle of one class" if one else f"pulse cycle, gap {orbit.period}"
        return orbit.throughput, f"closed form: {name}"
    found = "the worse end of two starts" if ends < (1 - _SAME) * x_star else "no cycle found"
    return ends, f"simulated: fluid model, {found}"


def _per_completion(run: RunSummary) -> float:
    """Evictions per completed request; 0 where nothing completes."""
    return run.evictions / run.throughput if run.throughput else 0.0


def _resume_cost(mean: Averages) -> ResumeCost:
    """What evictions cost where they keep their tokens, from a run that does."""
    if not mean.completed:
        return ResumeCost(None, 0.0, "not measured: the integer model completed nothing")
    return ResumeCost(
        recompute_tax=mean.recompute_tax,
        evictions_per_completion=mean.evicted / mean.completed,
        source="simulated: whole requests in unpaged memory, the evicted re-admitted first",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
