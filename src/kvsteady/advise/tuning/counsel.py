"""What to do about an engine, in words: with the gain, its interval, and the price."""

from __future__ import annotations

import math
from typing import Final

from kvsteady.advise.record import Advice
from kvsteady.advise.tuning.decide import explained
from kvsteady.advise.tuning.outcome import TuningOutcome
from kvsteady.advise.tuning.paste import engine_name, has_plugin
from kvsteady.advise.tuning.record import Effect, Interval, Measured, Tuning

_KEEPS: Final = {
    "restart": "evicted requests lose their progress",
    "resume": "evicted requests keep their tokens and are prefilled again",
    "swap": "evicted requests keep their KV in host memory",
}
# The price and what else changes, in the order of the sentence.
_TOLD: Final = (
    ("recompute_tax", "recomputed prefill"),
    ("completions_per_iteration", "completions per iteration"),
    ("itl_p99_ms", "p99 ITL"),
    ("ttft_p99_s", "p99 TTFT"),
    ("goodput", "goodput"),
)
# A p99 ITL that is at most so much of what it was is worth a word, if the objective loses no more
# than so much.
_CALM: Final = 0.5
_CHEAP: Final = 0.03


def counsel(found: Tuning) -> tuple[Advice, ...]:
    """What to do, the first item; then what else to know."""
    outcome = TuningOutcome.of_label(found.outcome)
    runner = found.front_runner
    match outcome:
        case TuningOutcome.STUCK:
            return (_stuck(found),)
        case TuningOutcome.DO_NOTHING:
            return (
                Advice(
                    title=f"Do nothing: leave {found.engine} as it is",
                    text=_nothing(found, runner),
                ),
                *_latency(found),
            )
        case TuningOutcome.CANNOT_TELL:
            assert runner is not None
            assert runner.gain is not None
            return (
                Advice(
                    title="Cannot tell yet: run it with more seeds",
                    text=f"{runner.setting} changes {found.objective.title} by "
                    f"{percent(runner.gain)}: {_sure(found)}, under {found.eviction}. A gain worth "
                    "a change is neither shown nor excluded; until it is, leave the engine as it "
                    "is.",
                ),
                *_latency(found),
            )
        case TuningOutcome.SET_FLAGS | TuningOutcome.USE_POLICY:
            assert runner is not None
            return (_change(found, runner), *_how(found, runner))


def percent(gain: Interval) -> str:
    """A gain with its interval: ``+12.3% (11.9% to 12.7%)``."""
    digits = 1 if gain.high - gain.low >= 0.002 else 2
    low, high = f"{gain.low:+.{digits}%}", f"{gain.high:+.{digits}%}"
    mean = f"{gain.mean:+.{digits}%}"
    return mean if low == high else f"{mean} ({low} to {high})"


def _change(found: Tuning, runner: Measured) -> Advice:
    assert runner.gain is not None
    objective = found.objective
    effect = runner.effect(objective.name)
    title = (
        f"Run {found.engine} with {runner.setting}"
        if runner.how == "flags"
        else f"Let {runner.setting} admit on {found.engine}"
    )
    better = "less" if objective.name == "ttft_p99_s" else "more"
    amount = f"{100 * abs(runner.gain.mean):.1f}% {better} {objective.title}"
    span = f"{100 * runner.gain.low:.1f}% to {100 * runner.gain.high:.1f}%"
    numbers = ""
    if effect is not None:
        numbers = f", {_number(effect.before)} → {_number(effect.after)} {effect.unit}"
    return Advice(
        title=title,
        text=f"{amount} ({span}; {_sure(found)}{numbers}), under {found.eviction}: "
        f"{_KEEPS[found.eviction]}. {_price(found, runner)}",
    )


def _price(found: Tuning, runner: Measured) -> str:
    said = []
    for name, title in _TOLD:
        effect = runner.effect(name)
        if effect is None or name == found.objective.name:
            continue
        if name == "recompute_tax":
            said.append(f"{title} {effect.before:.1%} → {effect.after:.1%}")
            continue
        share = f" ({effect.after / effect.before - 1:+.1%})" if effect.before else ""
        unit = f" {effect.unit}" if effect.unit in ("ms", "s", "requests/s") else ""
        said.append(f"{title} {_number(effect.before)} → {_number(effect.after)}{unit}{share}")
    return f"With it: {'; '.join(said)}."


def _how(found: Tuning, runner: Measured) -> tuple[Advice, ...]:
    """For a policy: what it takes, and how far flags alone get."""
    if runner.how == "flags":
        return ()
    if has_plugin(engine_name(found.engine)):
        how = "No flag of the engine's own does it; kvsteady's plug-in, installed beside it, does"
    else:
        how = (
            "No flag of the engine's own does it, and there is no plug-in for this engine: "
            f"kvsteady simulate --policy {runner.setting} shows what it does"
        )
    text = f"{how}."
    flags = [
        (each.gain.mean, each)
        for each in found.compared
        if each.how == "flags"
        and each.gain is not None
        and each.gain.low > 0
        and each.gain.mean >= found.objective.worth
    ]
    if flags:
        _, best = max(flags, key=lambda pair: pair[0])
        assert best.gain is not None
        text += (
            f" With flags alone the best is {best.setting}: {found.objective.title} "
            f"{percent(best.gain)}, on the seeds that chose it, under {found.eviction}."
        )
    else:
        text += f" With flags alone nothing is worth a change, under {found.eviction}."
    return (Advice(title="What it takes", text=text),)


def _nothing(found: Tuning, runner: Measured | None) -> str:
    tried = f"{len(found.tried)} changes were tried"
    if runner is None or runner.gain is None:
        return f"{tried}; none of them could be compared, under {found.eviction}."
    gain, objective = runner.gain, found.objective
    if gain.low > 0 and gain.mean >= objective.worth and not explained(runner):
        why = (
            "real in the simulation, but with neither fewer evictions nor more completions per "
            "iteration behind it: prefill comes in other portions, and the time model weighs them"
        )
    elif gain.low > 0:
        why = f"real, but below the {objective.worth:.0%} that would be worth a change"
        if gain.mean >= objective.worth:
            why = f"less than {objective.worth_absolute:g} {objective.unit}, or at a price"
    elif gain.high < 0:
        why = "a loss"
    else:
        why = "inside the noise"
    return (
        f"{tried}. The best of them, {runner.setting}, changes {objective.title} by "
        f"{percent(gain)}: {why}. {_sure(found).capitalize()}, under {found.eviction}."
    )


def _latency(found: Tuning) -> tuple[Advice, ...]:
    """Where nothing is gained: what would at least even out the time between tokens."""
    calmer: list[tuple[float, float, int, Measured, Effect]] = []
    for each in found.compared:
        effect = each.effect("itl_p99_ms")
        if each.gain is None or effect is None or found.objective.name != "tokens_per_second":
            continue
        if effect.after <= _CALM * effect.before and each.gain.low >= -_CHEAP:
            calmer.append((effect.after, -each.gain.mean, len(calmer), each, effect))
    if not calmer:
        return ()
    *_, each, effect = min(calmer)
    assert each.gain is not None
    return (
        Advice(
            title="Unless the tail of the time between tokens matters more",
            text=f"{each.setting} takes p99 ITL from {_number(effect.before)} to "
            f"{_number(effect.after)} ms; {found.objective.title} change by "
            f"{percent(each.gain)}, under {found.eviction}. {_recomputed(each)}",
        ),
    )


def _recomputed(each: Measured) -> str:
    tax = each.effect("recompute_tax")
    return "" if tax is None else f"Recomputed prefill: {tax.before:.1%} → {tax.after:.1%}."


def _stuck(found: Tuning) -> Advice:
    runs = [each for each in found.tried if each.outcome == "ran"]
    if runs:
        names = ", ".join(each.setting for each in runs[:3])
        text = f"Of {len(found.tried)} changes {len(runs)} keep it going, such as {names}"
    else:
        text = f"None of the {len(found.tried)} changes that were tried keeps it going"
    return Advice(
        title=f"{found.engine} as it is comes to a stop",
        text=f"{text}, under {found.eviction}. Give it more KV tokens or shorter requests before "
        "anything else.",
    )


def _sure(found: Tuning) -> str:
    seeds = len(found.seeds.confirming)
    return f"95% interval over {seeds} seeds that took part in no choice"


def _number(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def notes(found: Tuning) -> tuple[str, ...]:
    """What a reader of the numbers should know."""
    said = [
        "Simulated, decision for decision as the engine schedules; times are the model's, without "
        "what an engine does between iterations.",
        "Values were chosen on one seed and families on others; the outcome is from seeds that "
        "chose nothing. Gains under 'compared' are on the seeds that chose the front runner, which "
        "flatters the best of them.",
    ]
    if found.load.kind == "saturated":
        said.append("The queue never empties, so that time to first token says nothing here.")
        if not found.workload.random:
            said.append(
                "Lengths in turn leave a seed nothing to draw: seeds after 0 draw up to 2% "
                "of memory to take away instead, and intervals are over that."
            )
    elif found.load.kind == "replayed":
        said.append(
            "Seeds stand for stretches of the trace, one after the other: intervals are over what "
            "changes along it. Each starts with an empty engine."
        )
    return tuple(said)
