"""The ledger, as a scrape of Prometheus shows it."""

from __future__ import annotations

import logging

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


def test_metrics_that_fail_are_given_up_and_nothing_else_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rank that keeps metrics must not part from those that keep none."""
    from kvsteady.plugins.metrics import metrics_of

    registry = prometheus_client.CollectorRegistry()
    regulator = Regulator(Settings(policy="greedy"), Setup(960, 1))
    metrics = metrics_of(regulator, engine="sglang", registry=registry)
    assert metrics is not None

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(metrics._counters["steps"], "inc", full)
    with caplog.at_level(logging.WARNING, "kvsteady.plugins"):
        for _ in range(2):
            metrics.step()
            metrics.update()
    assert caplog.messages == ["kvsteady keeps no more metrics: OSError: no space left on device"]
    assert regulator.enforces


def test_metrics_that_cannot_be_made_are_a_line(caplog: pytest.LogCaptureFixture) -> None:
    from kvsteady.plugins.metrics import metrics_of

    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("kvsteady_quota", "Somebody else's", registry=registry)
    regulator = Regulator(Settings(policy="greedy"), Setup(960, 1))
    with caplog.at_level(logging.WARNING, "kvsteady.plugins"):
        assert metrics_of(regulator, engine="vllm", registry=registry) is None
    [line] = caplog.messages
    assert "Duplicated timeseries" in line
