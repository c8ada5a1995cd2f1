"""What to do about it, in words: including when not to act."""

from __future__ import annotations

from dataclasses import dataclass

from kvsteady.advise.analysis import ResumeCost
from kvsteady.advise.record import Advice
from kvsteady.advise.verdict import Verdict
from kvsteady.model.system import System
from kvsteady.theory.caps import RateCaps, reservation_rate
from kvsteady.theory.equilibrium import Equilibrium
from kvsteady.theory.spectrum import Spectrum

_CYCLES = (Verdict.UNSTABLE, Verdict.METASTABLE)
# Recompute tax above which evictions may be worth paying decode capacity to avoid.
_HEAVY = 0.2
# The least default of vLLM's --max-num-seqs (vllm 0.33.0, engine/arg_utils.py).
_SLOTS = 256
# Requests under which the lengths of a trace are too few to stand for a law.
_FEW = 2_000


@dataclass(frozen=True)
class Findings:
    """The numbers that advice is made of."""

    system: System
    balance: Equilibrium
    spectrum: Spectrum
    caps: RateCaps
    verdict: Verdict
    restart_loss: float
    resume: ResumeCost
    whole_loss: float
    """As ``restart_loss``, in the run of whole requests: chance included."""
    capped_evictions: float
    """Per completion, in the run of whole requests under the cap."""

    @property
    def heavy(self) -> bool:
        """Whether evictions recompute much under `resume`."""
        return (self.resume.recompute_tax or 0.0) > _HEAVY

    @property
    def worth(self) -> bool:
        """Whether a cycle loses more under `restart` than the cap gives up."""
        return self.restart_loss > self.caps.given_up

    @property
    def act(self) -> bool:
        """Whether settings other than the defaults may be worth their price."""
        if self.verdict in _CYCLES:
            return self.worth or self.heavy
        return self.verdict in (Verdict.NOISY, Verdict.MILD) and self.heavy


def counsel(found: Findings) -> tuple[Advice, ...]:
    """Advice in order of importance; the first always says whether to act."""
    advice = [_act_or_not(found), _cost(found)]
    if found.verdict in _CYCLES:
        advice.append(_lengths(found))
    cautions = (_concurrency(found), _few_requests(found), _saturation(found))
    return (*advice, *(caution for caution in cautions if caution))


def _act_or_not(found: Findings) -> Advice:
    cap = f"{found.caps.steady:.4g} requests per iteration"
    given_up = f"{found.caps.given_up:.1%} of decode capacity"
    match found.verdict:
        case Verdict.STABLE:
            return Advice(
                title="Leave it alone",
                text="Greedy admission is right for this traffic: no cycle, hardly an eviction. "
                f"A cap would give up {given_up} for nothing.",
            )
        case Verdict.NOISY | Verdict.MILD:
            cause = (
                "There is no cycle to break; evictions come from chance, "
                f"{found.resume.evictions_per_completion:.2g} per completion."
                if found.verdict is Verdict.NOISY
                else "The cycle alone would hardly be felt; most evictions come from chance, "
                f"{found.resume.evictions_per_completion:.2g} per completion."
            )
            if found.heavy:
                return Advice(
                    title=f"Weigh it: evictions, or a cap at {cap}",
                    text=f"{cause} Under resume they recompute much of all prefill. "
                    f"{_what_the_cap_does(found)} and gives up {given_up}: worth it where prefill "
                    "takes much of an iteration or tail latency matters, a loss elsewhere."
                    f"{_reserving(found)}",
                )
            return Advice(
                title="Probably leave it alone",
                text=f"{cause} {_what_the_cap_does(found, cap)} and gives up {given_up}. Act only "
                f"if tail latency matters more than throughput.{_reserving(found)}",
            )
        case Verdict.UNDECIDED:
            return Advice(
                title="Leave it alone, and look again when lengths change",
                text="The slowest mode neither grows nor dies within rounding; a small change of "
                "prompt lengths decides. Longer prompts stabilise.",
            )
        case Verdict.SLOW:
            return Advice(
                title="Watch it",
                text="The cycle needs about "
                f"{found.spectrum.doubling:,.0f} iterations to double. Watch preemptions over "
                f"long runs; if they climb, cap admissions at {cap} ({given_up}).",
            )
        case Verdict.UNSTABLE | Verdict.METASTABLE if not found.worth:
            return Advice(
                title=f"Weigh it: a shallow cycle, or a cap at {cap}",
                text=f"Greedy admission ends in a cycle that loses {found.restart_loss:.1%} under "
                f"restart; the cap would end it and give up {given_up}, which is more. Under "
                "resume the cap may still pay, in prefill saved and in latency.",
            )
        case Verdict.METASTABLE:
            return Advice(
                title=f"Cap admissions at {cap}",
                text="Disturbances die out near the equilibrium, but a start from empty or a "
                f"burst ends in an eviction cycle. The cap gives up {given_up}; it can be lifted "
                "once memory is steady.",
            )
        case Verdict.UNSTABLE:
            return Advice(
                title=f"Cap admissions at {cap}",
                text="Greedy admission leaves the eviction-free equilibrium by itself. "
                f"{_what_the_cap_does(found)} and gives up {given_up}.",
            )


def _what_the_cap_does(found: Findings, cap: str = "") -> str:
    """What the capped run showed; only lengths known in turn are ever free of evictions."""
    name = f"A cap at {cap}" if cap else "The cap"
    if found.system.workload.random:
        return f"{name} leaves {found.capped_evictions:.2g} evictions per completion"
    return f"{name} ends the evictions within the longest output, from any state,"


def _reserving(found: Findings) -> str:
    """A word on reservation where it costs less than the cap."""
    reserved = reservation_rate(found.system)
    if reserved <= found.caps.steady:
        return ""
    kept = reserved / found.caps.blocks
    return (
        f" Reserving prompt + max_tokens never evicts and keeps {kept:.0%} of x* in blocks, if "
        "max_tokens is each request's true length; the looser it is, the less."
    )


def _cost(found: Findings) -> Advice:
    tax = found.resume.recompute_tax
    kept = (
        "not yet estimated"
        if tax is None
        else f"{tax:.0%} of prefilled tokens are recomputed ({found.resume.source}), plus the "
        "latency of waiting for it"
    )
    return Advice(
        title="What evictions cost",
        text=f"If evictions lose progress (restart): {found.restart_loss:.1%} of output tokens, "
        f"{found.whole_loss:.1%} with whole requests and chance. "
        "If generated tokens are kept (resume: vLLM, SGLang, Transformers) completions "
        f"per iteration stay near x*; the cost is recomputed prefill: {kept}.",
    )


def _lengths(found: Findings) -> Advice:
    load = found.system.workload
    if len(load) == 1:
        text = (
            "All requests have the same length, which is always unstable, whatever the memory. "
            "Mixing in other output lengths stabilises, and the more so the longer the prompts."
        )
    elif load.gcd > 1:
        text = (
            f"All output lengths are multiples of {load.gcd}, so cohorts complete together. "
            "Lengths without a common divisor are necessary for stability, and at these prompt "
            "lengths not sufficient: check a change here before making it."
        )
    else:
        text = (
            "The output lengths have no common divisor, but the prompts are too short, or an "
            "atom (a max_tokens cap) too large, for that to stabilise."
        )
    return Advice(title="Why: the lengths", text=text)


def _concurrency(found: Findings) -> Advice | None:
    if found.balance.running <= _SLOTS:
        return None
    return Advice(
        title="Concurrency limits",
        text=f"About {found.balance.running:,.0f} requests run at once at the equilibrium. If the "
        "engine allows fewer (vLLM --max-num-seqs is 256 or 1,024 by default, by GPU; SGLang "
        "--max-running-requests), memory never fills and none of this applies.",
    )


def _few_requests(found: Findings) -> Advice | None:
    load = found.system.workload
    requests = int(load.tickets.sum())
    if not load.random or requests >= _FEW:
        return None
    return Advice(
        title="Few requests",
        text=f"The law of lengths comes from {requests:,} requests, which may not show all of it: "
        "check a longer trace before acting.",
    )


def _saturation(found: Findings) -> Advice | None:
    arrivals = found.system.workload.arrivals
    if arrivals is None or arrivals.rate == 0:
        return None
    seconds = found.balance.admissions / arrivals.rate
    return Advice(
        title="Whether the engine is saturated",
        text=f"The verdict holds while requests queue. This trace brings {arrivals.rate:.3g} "
        "requests per second on average: one engine with this memory saturates only if an "
        f"iteration takes longer than {seconds * 1000:,.0f} ms.",
    )
