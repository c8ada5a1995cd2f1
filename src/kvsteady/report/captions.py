"""What to see in each figure, in plain words, with the numbers of the analysis."""

from __future__ import annotations

from kvsteady.advise.analysis import Analysis, RunSummary
from kvsteady.report.numbers import counted, modulus, quantity, share

_SHAPE = {
    "decreasing": "They decrease with age, which by itself proves stability.",
    "increasing": "They increase with age, which puts every root outside the unit circle.",
    "neither": "They neither only fall nor only rise, so the roots decide.",
}


def runs_caption(analysis: Analysis) -> str:
    """Of the trajectories."""
    width = analysis.curves.runs[0].stretch
    points = (
        f"Each point stands for {width} iterations: memory by its maximum, the rest by their mean."
        if width > 1
        else "Each point is one iteration."
    )
    ends = [f"{_policy(run)} {_pace(run)}" for run in _whole(analysis)]
    return (
        f"The same axes in each panel. In the long run, with whole requests, {' and '.join(ends)}. "
        f"{points}"
    )


def completions_caption(analysis: Analysis) -> str:
    """Of the completions summed up."""
    slopes = [
        f"{_policy(run)} {share(run.throughput / analysis.x_star)}" for run in _whole(analysis)
    ]
    biased = any(run.throughput > analysis.x_star * 1.005 for run in _whole(analysis))
    bias = (
        "More than x* means that evictions favour short requests: more requests, fewer tokens. "
        if biased
        else ""
    )
    return (
        f"Slopes are what counts: x* = {quantity(analysis.x_star)} requests per iteration is the "
        f"most that any policy completes in this mix, and in the end {' and '.join(slopes)} of it. "
        f"{bias}Evicted requests lose their progress (restart); under resume they keep it, and "
        "completions stay near x*."
    )


def orbits_caption(analysis: Analysis) -> str:
    """Of the orbit family."""
    if len(analysis.orbits) == 1:
        family = (
            "The only orbit known in closed form is the eviction-free one: the gcd of the output "
            "lengths is 1."
        )
    else:
        last = analysis.orbits[-1]
        family = (
            "The further apart the cohorts of an orbit, the less it completes: "
            f"{share(last.share_of_x_star)} of x* at a gap of {last.period:,}."
        )
    return (
        f"{family} The crosses are where greedy runs end when evictions restart; the cap holds "
        f"{share(analysis.rate_cap / analysis.x_star)}, reserving the full length of every request "
        f"{share(analysis.reservation_throughput / analysis.x_star)}."
    )


def modes_caption(analysis: Analysis) -> str:
    """Of both views of the spectrum."""
    modes, degree = analysis.curves.modes, analysis.curves.degree
    shown = sum(2 if im > 1e-9 else 1 for _, im in modes)
    match analysis.roots_outside:
        case None:
            where = "too close to the circle to count those outside"
        case 0:
            where = "none of all roots lies outside"
        case 1:
            where = "1 of all roots lies outside"
        case outside:
            where = f"{outside:,} of all roots lie outside"
    leading = "" if shown == degree else ", the leading ones found"
    return (
        f"Shown: {shown:,} of {counted(degree, 'root')}{leading}; {where}. A root "
        "outside the circle is a disturbance of admissions that grows, one inside a disturbance "
        f"that dies out; the largest modulus is {modulus(analysis.spectral_radius)}."
    )


def weights_caption(analysis: Analysis) -> str:
    """Of the survival weights."""
    return (
        "Tokens that one admission is expected to hold at each age. At equilibrium x* = "
        f"{quantity(analysis.x_star)} admissions of every age are there, so x* times the area is "
        f"the whole memory, {analysis.kv_tokens:,} tokens. {_SHAPE[analysis.weights_monotone]}"
    )


def law_caption(analysis: Analysis) -> str:
    """Of the laws of output and prompt lengths."""
    load = analysis.workload
    return (
        f"Share of requests longer than n tokens. Outputs average {quantity(load.mean_output)} "
        f"tokens and end at {load.longest_output:,}; prompts average {quantity(load.mean_prompt)}. "
        "A vertical step is a length that many requests share."
    )


def _whole(analysis: Analysis) -> list[RunSummary]:
    return [run for run in analysis.runs if run.arithmetic == "integer"]


def _policy(run: RunSummary) -> str:
    return "greedy" if run.policy == "greedy" else "the cap"


def _pace(run: RunSummary) -> str:
    evictions = f"{quantity(run.evictions, 3)} requests" if run.evictions else "nothing"
    return f"evicts {evictions} and completes {quantity(run.throughput, 3)} per iteration"
