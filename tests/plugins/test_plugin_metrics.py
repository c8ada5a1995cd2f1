"""The ledger, as a scrape of Prometheus shows it."""

from __future__ import annotations

import pytest

from kvsteady.admission import Setup
from kvsteady.plugins import Regulator, Settings

prometheus_client = pytest.importorskip("prometheus_client")


def test_a_scrape_shows_what_was_counted() -> None:
    from kvsteady.plugins.metrics import Metrics

    registry = prometheus_client.CollectorRegistry()
    regulator = Regulator(Settings(policy="greedy", mode="shadow"), Setup(960, 1))
    metrics = Metrics(regulator, engine="vllm", registry=registry)
    ledger = regulator.ledger
    labels = {"engine": "vllm", "rank": "0", "policy": "greedy", "mode": "shadow"}

    def read(name: str) -> float | None:
        return registry.get_sample_value(f"kvsteady_{name}", labels)

    assert (read("active"), read("evicted_total")) == (1.0, 0.0)
    ledger.evicted, ledger.prefilled, ledger.recomputed = 3, 400, 100
    metrics.update()
    metrics.update()  # what was told is not told again
    assert (read("evicted_total"), read("recomputed_total")) == (3.0, 100.0)
    assert read("recompute_tax") == pytest.approx(0.25)
    regulator.step_aside("a test says so")
    metrics.update()
    assert read("active") == 0.0


def test_two_engines_of_one_process_share_metrics() -> None:
    from kvsteady.plugins.metrics import Metrics

    registry = prometheus_client.CollectorRegistry()
    for rank in (0, 1):
        regulator = Regulator(Settings(policy="greedy"), Setup(960, 1))
        metrics = Metrics(regulator, engine="sglang", rank=rank, registry=registry)
        regulator.ledger.admitted = 5 + rank
        metrics.update()
    text = prometheus_client.generate_latest(registry).decode()
    labels = 'engine="sglang",mode="enforce",policy="greedy",rank="1"'
    assert f"kvsteady_admitted_total{{{labels}}} 6.0" in text
    assert text.count("# TYPE kvsteady_admitted_total") == 1
