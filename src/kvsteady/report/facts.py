"""The key numbers of an analysis, worded once for every output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from kvsteady.advise.analysis import Analysis
from kvsteady.advise.tuning.counsel import percent
from kvsteady.advise.verdict import Verdict
from kvsteady.report.numbers import counted, modulus, quantity, share

Tone = Literal["good", "calm", "watch", "act"]

_RATE: Final = "per iteration"

EVICTION: Final = {
    "restart": "evicted requests lose their progress and start again",
    "resume": "evicted requests keep their generated tokens and are prefilled again",
    "swap": "evicted KV moves to host memory and comes back by a transfer",
    "none": "nothing is evicted: memory is reserved on admission",
}


@dataclass(frozen=True)
class Fact:
    """One number: what it is, its value and unit, and what to know about it."""

    label: str
    value: str
    unit: str
    note: str


def tone(analysis: Analysis) -> Tone:
    """How much concern the verdict deserves; a label from elsewhere is watched."""
    try:
        concern = Verdict.of_label(analysis.verdict).concern
    except KeyError:
        return "watch"
    if concern <= Verdict.NOISY.concern:
        return "good" if concern == 0 else "calm"
    return "act" if concern >= Verdict.METASTABLE.concern else "watch"


def key_numbers(analysis: Analysis) -> tuple[Fact, ...]:
    """The numbers that decide, in the order in which they are read."""
    return (
        _equilibrium(analysis),
        _radius(analysis),
        *_proof(analysis),
        _period(analysis),
        Fact(
            "gcd of output lengths",
            f"{analysis.gcd:,}",
            "",
            "reported as what it is: 1 alone is not stability",
        ),
        _worst(analysis),
        _restart(analysis),
        _resume(analysis),
        *_engine(analysis),
        Fact(
            "Rate cap",
            quantity(analysis.rate_cap),
            _RATE,
            f"gives up {share(max(0.0, analysis.rate_cap_given_up))} of decode capacity",
        ),
        Fact(
            "Reserving all tokens",
            quantity(analysis.reservation_throughput),
            _RATE,
            f"{share(analysis.reservation_throughput / analysis.x_star)} of x*; never evicts",
        ),
    )


def workload_line(analysis: Analysis) -> str:
    """Lengths and memory in one line; the name stands elsewhere."""
    load = analysis.workload
    parts = [
        "1 class" if load.classes == 1 else f"{load.classes:,} classes",
        f"mean prompt {quantity(load.mean_prompt)}",
        f"mean output {quantity(load.mean_output)}",
        f"longest output {load.longest_output:,}",
        f"{analysis.kv_tokens:,} KV tokens",
        f"blocks of {analysis.block_size:,}" if analysis.block_size > 1 else "no blocks",
    ]
    if load.requests is not None:
        parts.append(counted(load.requests, "request"))
    if load.arrivals_per_second is not None:
        parts.append(f"{quantity(load.arrivals_per_second, 3)} requests/s")
    return ", ".join(parts)


def notes(analysis: Analysis) -> tuple[str, ...]:
    """Notes on workload, memory and runs."""
    found = [*analysis.workload.notes, *analysis.memory_notes]
    if not all(run.settled for run in analysis.runs):
        found.append(
            "A run was too short for the dominant mode to grow or die out: losses may differ."
        )
    return tuple(found)


def _equilibrium(analysis: Analysis) -> Fact:
    blocks = (
        f"{quantity(analysis.x_star_blocks)} in blocks of {analysis.block_size:,}; "
        if analysis.block_size > 1
        else ""
    )
    return Fact(
        "Eviction-free, x*",
        quantity(analysis.x_star),
        _RATE,
        f"{blocks}{quantity(analysis.running)} running",
    )


def _radius(analysis: Analysis) -> Fact:
    degree, outside = analysis.curves.degree, analysis.roots_outside
    if degree == 0:
        return Fact("Spectral radius", "no modes", "", "every request completes in one iteration")
    if outside is None:
        low, high = modulus(analysis.spectral_radius_low), modulus(analysis.spectral_radius_high)
        roots = f"between {low} and {high}: a root is too close to 1 to count those outside"
    else:
        roots = f"{outside:,} of {counted(degree, 'root')} outside"
    doubling, halving = analysis.doubling_iterations, analysis.halving_iterations
    if doubling is not None:
        speed = f"; doubles every {quantity(doubling)} iterations"
    elif halving is not None:
        speed = f"; halves every {quantity(halving)} iterations"
    else:
        speed = ""
    return Fact("Spectral radius", modulus(analysis.spectral_radius), "", roots + speed)


def _proof(analysis: Analysis) -> tuple[Fact, ...]:
    proof = analysis.proof
    if proof is None:
        return ()
    if proof.roots_outside is None or proof.roots_on_circle is None:
        return (Fact("Proof", "none found", "", f"tried: {proof.method}"),)
    on = proof.roots_on_circle
    circle = f", {on:,} on the unit circle" if on else ""
    found = f"{counted(proof.roots_outside, 'root')} outside{circle}"
    return (Fact("Proof", proof.outcome, "", f"{found}: {proof.method}"),)


def _period(analysis: Analysis) -> Fact:
    if analysis.dominant_period is None:
        return Fact("Dominant period", "none", "", "the leading mode does not oscillate")
    return Fact(
        "Dominant period",
        quantity(analysis.dominant_period),
        "iterations",
        "of the leading mode near equilibrium",
    )


def _worst(analysis: Analysis) -> Fact:
    return Fact(
        "Worst cycle (restart)",
        quantity(analysis.worst_cycle_throughput),
        _RATE,
        f"{share(analysis.worst_cycle_throughput / analysis.x_star)} of x*; "
        f"{analysis.worst_cycle_source}",
    )


def _restart(analysis: Analysis) -> Fact:
    return Fact(
        "Loss under restart",
        share(analysis.restart_loss),
        "of output tokens",
        "where evicted requests lose their progress",
    )


def _resume(analysis: Analysis) -> Fact:
    tax, each = analysis.resume.recompute_tax, analysis.resume.evictions_per_completion
    return Fact(
        "Cost under resume",
        "not yet estimated" if tax is None else share(tax),
        "" if tax is None else "of prefill recomputed",
        f"where generated tokens are kept; {quantity(each, 3)} evictions per completion; "
        f"{analysis.resume.source}",
    )


def _engine(analysis: Analysis) -> tuple[Fact, ...]:
    estimate = analysis.engine
    if estimate is None:
        return ()
    runs = tuple(
        Fact(
            f"{estimate.engine}, {name}",
            share(run.recomputed_share),
            "of computed tokens recomputed",
            f"{run.outcome}; {quantity(run.preemptions_per_completion or 0.0, 3)} preemptions per "
            f"completion, {quantity(run.output_tokens_per_second)} output tokens/s, ITL p50 "
            f"{_ms(run.itl_p50_ms)}, p99 {_ms(run.itl_p99_ms)}; {estimate.eviction}, "
            f"{estimate.time}",
        )
        for name, run in (("greedy", estimate.greedy), ("capped", estimate.capped))
    )
    return (*runs, *_tuning(analysis))


def _tuning(analysis: Analysis) -> tuple[Fact, ...]:
    found = analysis.tuning
    runner = None if found is None else found.front_runner
    if found is None or runner is None or runner.gain is None:
        return ()
    return (
        Fact(
            f"{found.engine}, tuned",
            found.outcome,
            "",
            f"{runner.setting}: {found.objective.title} {percent(runner.gain)}, {found.eviction}",
        ),
    )


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{quantity(value, 3)} ms"
