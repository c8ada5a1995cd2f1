"""From what was collected to the result."""

from __future__ import annotations

import math
from typing import Any

from kvsteady import __version__
from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.load import Feed
from kvsteady.simulate.results import words
from kvsteady.simulate.results.collect import Collector, Requests
from kvsteady.simulate.results.curves import curves_of
from kvsteady.simulate.results.observed import Plan, gaps, measured
from kvsteady.simulate.results.outcome import Outcome, decide
from kvsteady.simulate.results.series import queue_grows
from kvsteady.simulate.results.simulation import (
    Cycle,
    ObjectiveResult,
    ReplicaResult,
    Setup,
    Simulation,
)
from kvsteady.simulate.results.spread import EXACT, Spread
from kvsteady.simulate.scenario import Scenario

_SHARES = (50.0, 90.0, 99.0)
_NAMES = ("median", "p90", "p99")


def summarise(
    scenario: Scenario, feed: Feed, collector: Collector, plans: list[Plan]
) -> Simulation:
    """Put the numbers of a run together.

    Raises
    ------
    InputError
        No replica outlasted its warm-up.
    """
    began = [float(plan.before["now"]) for plan in plans if plan.before is not None]
    if not began:
        raise InputError(
            "the run ends before its warm-up", field="warm_up", allowed="less than the run takes"
        )
    start, end = min(began), max(float(_clock(plan)["now"]) for plan in plans)
    span = end - start
    series = collector.series.read(end)
    outcome = _outcome(feed, collector, plans, series, (start, end))
    spreads = _spreads(collector, plans)
    result = Simulation(
        kvsteady_version=__version__,
        name=scenario.name or scenario.load_name or type(scenario.load).__name__,
        setup=_setup(scenario),
        replicas=_replicas(scenario, collector, plans, span),
        outcome=outcome.label,
        outcome_text=words.outcome_text(
            outcome, collector.failed, collector.left - collector.failed
        ),
        advice=(),
        cycle=_cycle(scenario, plans),
        rejected=tuple(collector.rejected),
        notes=words.notes(feed, scenario),
        percentiles="exact; ITL in bins of 1%"
        if collector.requests.e2el.exact
        else f"in bins of 1% (over {EXACT:,} requests)",
        curves=curves_of(series, spreads),
        **_throughput(scenario, collector, plans, span),
        **_latencies(spreads, collector.requests),
        **_cost(collector.requests, plans),
        **_occupancy(collector, plans, span),
    )
    return words.with_advice(result)


def _outcome(
    feed: Feed,
    collector: Collector,
    plans: list[Plan],
    series: dict[str, FloatArray],
    measured_time: tuple[float, float],
) -> Outcome:
    start, end = measured_time
    drained = feed.total is not None and collector.left >= feed.total
    open_loop = not (feed.on_demand or feed.clients)
    until = min(end, collector.last_arrival) if drained else end
    evicted = sum(int(measured(plan, "all_preempted")) for plan in plans)
    return decide(
        livelocked=any(plan.halt is not None and plan.halt.livelocked for plan in plans),
        stalled=any(plan.halt is not None and not plan.halt.livelocked for plan in plans),
        rejected=2 * collector.failed > collector.left,
        drained=drained,
        growing=open_loop and queue_grows(series, start, until),
        preemptions_per_request=evicted / max(collector.requests.completed, 1),
    )


def _throughput(
    scenario: Scenario, collector: Collector, plans: list[Plan], span: float
) -> dict[str, Any]:
    """What completed, and how fast."""
    requests, limits = collector.requests, scenario.objectives.limits
    return {
        "duration": span,
        "iterations": int(sum(measured(plan, "iteration") for plan in plans)),
        "completed": requests.completed,
        "failed": collector.failed,
        "unfinished": _unfinished(scenario, collector, plans),
        "total_input_tokens": requests.prompt,
        "total_output_tokens": requests.output,
        "request_throughput": _rate(requests.completed, span),
        "output_throughput": _rate(requests.output, span),
        "total_token_throughput": _rate(requests.prompt + requests.output, span),
        "request_goodput": _rate(requests.good, span) if limits else None,
        "objectives": tuple(
            ObjectiveResult(name, limit, requests.met[name] / max(requests.completed, 1))
            for name, limit in limits.items()
        ),
    }


def _spreads(collector: Collector, plans: list[Plan]) -> dict[str, Spread]:
    requests = collector.requests
    return {
        "ttft": requests.ttft,
        "tpot": requests.tpot,
        "itl": _between_tokens(plans, collector),
        "e2el": requests.e2el,
    }


def _latencies(spreads: dict[str, Spread], requests: Requests) -> dict[str, Any]:
    """Means and percentiles in milliseconds."""
    numbers = {"mean_queue_ms": _in_ms(requests.queue.mean)}
    for name, spread in spreads.items():
        numbers[f"mean_{name}_ms"] = _in_ms(spread.mean)
        for word, value in zip(_NAMES, spread.percentiles(_SHARES), strict=True):
            numbers[f"{word}_{name}_ms"] = _in_ms(value)
    return numbers


def _cost(requests: Requests, plans: list[Plan]) -> dict[str, Any]:
    """Evictions, what they cost, and what a prefix cache saved."""
    total = {
        name: int(sum(measured(plan, f"all_{name}") for plan in plans))
        for name in ("preempted", "prefill", "decode", "recomputed", "wasted", "swapped")
    }
    computed = total["prefill"] + total["decode"]
    return {
        "num_preemptions_total": total["preempted"],
        "preemptions_per_request": _ratio(total["preempted"], requests.completed),
        "computed_tokens": computed,
        "prefilled_tokens": total["prefill"],
        "recomputed_tokens": total["recomputed"],
        "recompute_tax": total["recomputed"] / max(total["prefill"], 1),
        "recomputed_share": total["recomputed"] / max(computed, 1),
        "wasted_tokens": total["wasted"],
        "swapped_tokens": total["swapped"],
        "prefix_cache_queries": requests.prompt,
        "prefix_cache_hits": requests.cached,
        "prefix_cache_hit_rate": requests.cached / max(requests.prompt, 1),
    }


def _clock(plan: Plan) -> Any:
    assert plan.machine is not None
    return plan.machine.clock if plan.after is None else plan.after


def _unfinished(scenario: Scenario, collector: Collector, plans: list[Plan]) -> int:
    """Requests that came and have not left: they run, wait, or are on their way between pools."""
    entered = [_clock(plan) for plan in plans[: len(scenario.replicas)]]
    if any(clock["backlog"] for clock in entered):
        return 0  # a queue without end
    if scenario.decode is not None:
        return sum(int(clock["all_arrived"]) for clock in entered) - collector.left
    return sum(int(c["all_arrived"] - c["all_completed"] - c["all_rejected"]) for c in entered)


def _between_tokens(plans: list[Plan], collector: Collector) -> Spread:
    """Times between tokens: spread by the kernels' histograms, mean over completed requests."""
    spread, requests = Spread(), collector.requests
    bins = collector.gaps + sum(gaps(plan) for plan in plans)
    mean = requests.decoding / max(requests.output - requests.completed, 1)
    spread.add_bins(bins, mean * int(bins.sum()))
    return spread


def _occupancy(collector: Collector, plans: list[Plan], span: float) -> dict[str, Any]:
    """KV usage, requests running and waiting: time means over all replicas, and maxima."""
    seen = collector.iterations
    blocks = [int(_clock(plan)["total"]) for plan in plans]
    held = sum(float(measured(plan, "block_seconds")) for plan in plans)
    peaks = [
        1 - each.least_free / total
        for each, total in zip(seen, blocks, strict=True)
        if each.least_free is not None
    ]
    return {
        "kv_cache_usage_perc": _rate(held, span * sum(blocks)),
        "max_kv_cache_usage_perc": max(peaks, default=0.0),
        "num_requests_running": _rate(sum(each.running for each in seen), span),
        "max_num_requests_running": max(each.most_running for each in seen),
        "num_requests_waiting": _rate(sum(each.waiting for each in seen), span),
        "max_num_requests_waiting": max(each.most_waiting for each in seen),
    }


def _setup(scenario: Scenario) -> Setup:
    semantics = sorted({replica.eviction.value for replica in scenario.every_replica})
    return Setup(
        load=words.described(scenario.load, scenario.load_name),
        router=words.routing(scenario),
        eviction=", ".join(semantics),
        stop=words.ending(scenario.stop),
        warm_up=scenario.warm_up,
        log_every=scenario.log_every,
        transfer="" if scenario.decode is None else words.moving(scenario.decode.transfer),
    )


def _replicas(
    scenario: Scenario, collector: Collector, plans: list[Plan], span: float
) -> tuple[ReplicaResult, ...]:
    each = zip(
        scenario.every_replica,
        scenario.replica_names,
        scenario.pools,
        plans,
        collector.completed,
        strict=True,
    )
    return tuple(_replica(*parts, span) for parts in each)


def _replica(
    replica: Replica, name: str, pool: str, plan: Plan, done: int, span: float
) -> ReplicaResult:
    total = int(_clock(plan)["total"])
    # A request that goes on to the decode pool has completed here.
    completed = int(measured(plan, "all_completed")) if pool == "prefill" else done
    return ReplicaResult(
        name=name,
        engine=replica.engine.name,
        kv_tokens=replica.kv_tokens,
        block_size=replica.engine.block_size,
        eviction=replica.eviction.value,
        time=words.described(replica.time),
        rate_cap=None if math.isinf(replica.pace.rate) else replica.pace.rate,
        ended=words.ended(plan.why, plan.halt),
        iterations=int(measured(plan, "iteration")),
        completed=completed,
        num_preemptions_total=int(measured(plan, "all_preempted")),
        kv_cache_usage_perc=_rate(float(measured(plan, "block_seconds")), span * total),
        busy=min(_rate(float(measured(plan, "busy")), span), 1.0),
        pool=pool,
        policy=None if replica.policy is None else repr(replica.policy),
    )


def _cycle(scenario: Scenario, plans: list[Plan]) -> Cycle | None:
    for name, plan in zip(scenario.replica_names, plans, strict=True):
        if plan.halt is not None:
            label = Outcome.LIVELOCKED if plan.halt.livelocked else Outcome.STALLED
            return Cycle(
                replica=name,
                label=label.label,
                period=plan.halt.period,
                evictions=plan.halt.evictions,
                requests=plan.halt.requests,
                text=plan.halt.text,
            )
    return None


def _rate(amount: float, seconds: float) -> float:
    return amount / seconds if seconds > 0 else 0.0


def _ratio(amount: float, among: int) -> float | None:
    return amount / among if among else None


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
