"""A run in words: what it was, how it ended, what follows from it."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import msgspec

from kvsteady.model.system import Eviction
from kvsteady.simulate import arriving
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.fleet.transfer import Transfer
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads.classed import Classed
from kvsteady.simulate.results.halt import Halt
from kvsteady.simulate.results.objectives import is_number
from kvsteady.simulate.results.outcome import Outcome
from kvsteady.simulate.results.simulation import Simulation
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.times.fitted import FittedTime

_LONGEST = 200
_ALL_THAT_FIT = "Every request that can fit was served."
_ENDS = {arriving.DRAINED: "drained", arriving.HOPELESS: "rejecting"}


def described(thing: object, name: str = "") -> str:
    """A name, or the kind of a dataclass with its options that are numbers or words."""
    if isinstance(thing, Classed):
        return described(thing.load, name)
    if isinstance(thing, FittedTime):
        gpus = f"{thing.tensor_parallel} × " if thing.tensor_parallel > 1 else ""
        return f"{thing.model} on {gpus}{thing.gpu}, {thing.engine} ({thing.source})"
    kind = type(thing).__name__
    if not is_dataclass(thing):
        return name or kind
    options = []
    for field in fields(thing):
        value = getattr(thing, field.name)
        if isinstance(value, str | int | float) and field.name != "name":
            options.append(
                f"{field.name} {value:g}" if is_number(value) else f"{field.name} {value}"
            )
    text = ", ".join([kind, *options])
    text = f"{name}: {text}" if name else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def ending(stop: Stop) -> str:
    """What ends a run."""
    parts = []
    if stop.seconds != math.inf:
        parts.append(f"{stop.seconds:g} s")
    if stop.iterations is not None:
        parts.append(f"{stop.iterations:,} iterations")
    if stop.completed is not None:
        parts.append(f"{stop.completed:,} completed requests")
    return " or ".join([*parts, "the last request"])


def ended(why: int, halt: Halt | None) -> str:
    """How a replica's run ended."""
    if halt is not None:
        return "livelocked" if halt.livelocked else "stalled"
    return _ENDS.get(why, "stopped")


def outcome_text(outcome: Outcome, failed: int, completed: int) -> str:
    """The outcome as a sentence that does not pass over rejected requests."""
    if not failed:
        return outcome.text
    text = outcome.text if outcome is not Outcome.COMPLETED else _ALL_THAT_FIT
    return f"{text} {failed:,} of {failed + completed:,} requests were rejected."


def with_advice(result: Simulation) -> Simulation:
    """The result with what follows from its outcome."""
    return msgspec.structs.replace(result, advice=tuple(_advice(result)))


def routing(scenario: Scenario) -> str:
    """Which replica a request goes to, in each pool; empty where there is no choice."""
    routers = {"prefill": scenario.router}
    if scenario.decode is not None:
        routers["decode"] = scenario.decode.router
    said = {pool: described(router) for pool, router in routers.items() if router is not None}
    if scenario.decode is None:
        return said.get("prefill", "")
    return ", ".join(f"{pool}: {text}" for pool, text in said.items())


def moving(transfer: Transfer) -> str:
    """How long KV is on its way."""
    return f"{transfer.latency:g} s and {transfer.seconds_per_token:g} s per token"


def notes(feed: Feed, scenario: Scenario) -> tuple[str, ...]:
    """What a reader of the numbers should know."""
    found, replicas = [], scenario.every_replica
    if scenario.decode is not None:
        found.append(
            "Prefill and decode have pools of their own: the first token comes from the prefill "
            "pool, all others from the decode pool. KV usage, running and waiting requests are "
            "over both; KV on its way waits for no other's."
        )
    if feed.on_demand:
        found.append(
            "The queue never empties: requests count as arrived when the engine can first see "
            "them, so TTFT, end-to-end latency and waiting requests say little."
        )
    if any(replica.eviction is Eviction.RESTART for replica in replicas):
        found.append(
            "restart: evicted requests lose their generated tokens. TTFT counts the first token "
            "of the first attempt; real engines resume."
        )
    for replica in replicas:
        if isinstance(replica.time, FittedTime):
            said = (*replica.time.remarks, *replica.time.notes)
            found += [f"Iteration times: {note}" for note in said]
    return tuple(dict.fromkeys(found))  # of replicas that are alike, once


def _advice(result: Simulation) -> list[str]:
    outcome = Outcome.of_label(result.outcome)
    found = []
    if result.cycle is not None:
        found.append(f"{result.cycle.replica}: {result.cycle.text}")
    if outcome is Outcome.LIVELOCKED:
        found.append(
            "Give it memory for more of these requests at once, cap its admissions, or limit how "
            "many run (each of them alone fits)."
        )
    elif outcome is Outcome.STALLED:
        found.append(
            "An option keeps the head of the queue out for good: look at the token budget, the "
            "watermark and the limits of the engine."
        )
    elif outcome is Outcome.OVERLOADED:
        found.append(
            f"It serves {result.request_throughput:.4g} requests/s and more come; add replicas or "
            "memory, or send less."
        )
    if result.num_preemptions_total and result.completed:
        found.append(_evictions(result, outcome))
    if result.failed:
        found.append(
            f"{result.failed:,} request{'s' if result.failed > 1 else ''} rejected: "
            f"{result.rejected[0].text}. Give a replica memory for the largest request, or limit "
            "their length before they come."
        )
    if not found:
        found.append("Nothing to do: no request was evicted or rejected.")
    return found


def _evictions(result: Simulation, outcome: Outcome) -> str:
    per_request = result.num_preemptions_total / result.completed
    costs = []
    if result.recomputed_tokens:
        costs.append(f"{result.recompute_tax:.1%} of all prefilled tokens were computed before")
    if result.wasted_tokens:
        share = result.wasted_tokens / (result.wasted_tokens + result.total_output_tokens)
        costs.append(f"{share:.1%} of the generated tokens were lost")
    if result.swapped_tokens:
        costs.append(f"{result.swapped_tokens:,} KV tokens were swapped")
    text = f"{per_request:.3g} evictions per completed request ({result.setup.eviction})"
    text = f"{text}: {' and '.join(costs)}." if costs else f"{text}."
    if outcome in (Outcome.EVICTING, Outcome.OVERLOADED):
        text += " See what a rate cap does: kvsteady check names one, --rate-cap sets it."
    return text
