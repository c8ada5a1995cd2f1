"""The curves of a result: what was seen over time, and how latencies are spread."""

from __future__ import annotations

from kvsteady.arrays import FloatArray
from kvsteady.simulate.results.simulation import Curve, Curves
from kvsteady.simulate.results.spread import Spread


def curves_of(series: dict[str, FloatArray], spreads: dict[str, Spread]) -> Curves:
    """Put series over time and the spreads of latencies, both in seconds, on curves."""

    def over_time(name: str) -> Curve:
        return Curve(_numbers(series["time"]), _numbers(series[name]))

    def distribution(spread: Spread) -> Curve:
        seconds, shares = spread.curve()
        return Curve(tuple(1000 * value for value in seconds), tuple(shares))

    return Curves(
        kv_cache_usage_perc=over_time("usage"),
        kv_cache_usage_perc_max=over_time("peak"),
        num_requests_running=over_time("running"),
        num_requests_waiting=over_time("waiting"),
        preemptions_per_second=over_time("preempted"),
        completions_per_second=over_time("completed"),
        ttft_ms=distribution(spreads["ttft"]),
        tpot_ms=distribution(spreads["tpot"]),
        itl_ms=distribution(spreads["itl"]),
        e2el_ms=distribution(spreads["e2el"]),
    )


def _numbers(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
