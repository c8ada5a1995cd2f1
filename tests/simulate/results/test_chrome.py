"""The trace of a window: spans that fit together, and agree with the tables."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from by_hand import Listed, scenario

from kvsteady.errors import InputError
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.fleet import Stop
from kvsteady.simulate.loads import Poisson, Saturated
from kvsteady.simulate.results.chrome import ChromeTrace
from kvsteady.simulate.simulate import simulate
from kvsteady.workload import Workload

WAITS = "preempted"


def spans(trace: ChromeTrace) -> dict[int, list[tuple[str, float, float]]]:
    """(what, from, to) in seconds of each request, in order."""
    found: dict[int, list[tuple[str, float, float]]] = defaultdict(list)
    for event in json.loads(trace.to_json())["traceEvents"]:
        if event["ph"] == "X":
            start = event["ts"] / 1e6
            found[event["args"]["request"]].append(
                (event["name"], start, start + event["dur"] / 1e6)
            )
    return {name: sorted(each, key=lambda span: span[1]) for name, each in found.items()}


def test_an_eviction_by_hand() -> None:
    # The run of test_simulate.test_an_eviction_by_hand: the second is evicted when iteration 3
    # begins (at 2 s), is admitted again in iteration 5 (4 s to 5 s), and ends at 6 s.
    load = Listed(*[{"prompt": 4, "output": 4}] * 2)
    trace = ChromeTrace(0, 100)
    simulate(scenario(load, 13), chrome=trace)
    # (The paper's engine decodes in the iteration that prefills.)
    second = spans(trace)[1]
    assert [name for name, _, _ in second] == [
        "prefill",
        "decode",
        "preempted",
        "prefill",
        "decode",
    ]
    assert ("preempted", 2.0, 4.0) in second
    assert second[-1][2] == 6.0
    assert spans(trace)[0][-1][2] == 4.0


@pytest.mark.parametrize("window", [(0.0, 40.0), (25.0, 60.0), (500.0, 700.0)])
def test_spans_of_a_request_join_without_gap_or_overlap(window: tuple[float, float]) -> None:
    workload = Workload.classes([(16, 8), (16, 16), (16, 32)])
    trace = ChromeTrace(*window)
    described = scenario(
        Poisson(workload, 2.0, 800),
        300,
        engine=Vllm(block_size=4, max_num_seqs=64, max_num_batched_tokens=64),
    )
    plain = simulate(described)
    assert simulate(described, chrome=trace) == plain  # looking changes nothing
    for each in spans(trace).values():
        for before, after in pairwise(each):
            assert before[2] == pytest.approx(after[1])
            assert before[0] != after[0]
        assert window[0] - 1e-6 <= each[0][1]
        assert each[-1][2] <= window[1] + 1e-6


def test_evictions_are_those_of_the_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    trace = ChromeTrace(100, 200)
    described = scenario(Saturated(Workload.fixed(16, 32)), 960, stop=Stop(iterations=300))
    simulate(described, chrome=trace, out=tmp_path)
    table = parquet.read_table(tmp_path / "iterations.parquet").to_pydict()
    rows = zip(table["start"], table["num_preemptions"], strict=True)
    # Who waited already when the window began has a span from 100 on, too.
    evicted = sum(count for start, count in rows if 100 < start < 200)
    starts = [start for each in spans(trace).values() for name, start, _ in each if name == WAITS]
    assert sum(start > 100 for start in starts) == evicted > 10
    counters = [e for e in trace.events if e["ph"] == "C" and e["name"] == "num_requests_running"]
    assert len(counters) >= 100


def test_a_trace_holds_no_more_events_than_viewers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvsteady.simulate.results.chrome._MOST", 50)
    trace = ChromeTrace(0, 100)
    simulate(
        scenario(Saturated(Workload.fixed(16, 32)), 960, stop=Stop(iterations=90)), chrome=trace
    )
    assert len(trace.events) == 50


def metadata(trace: ChromeTrace) -> list[dict[str, Any]]:
    return [event for event in trace.events if event["ph"] == "M"]


def test_replicas_are_processes_and_requests_are_tracks() -> None:
    load = Listed(*[{"prompt": 4, "output": 4}] * 2)
    trace = ChromeTrace(0, 100)
    simulate(scenario(load, 13), chrome=trace)
    named = {(event["name"], event["args"]["name"]) for event in metadata(trace)}
    assert named == {
        ("process_name", "paper-2606.15555"),
        ("thread_name", "request 0"),
        ("thread_name", "request 1"),
    }


@pytest.mark.parametrize("window", ["10", "10:", "b:2", "5:5", "9:2", "-1:2", "1:inf", "nan:2"])
def test_what_is_no_window_is_refused(window: str) -> None:
    with pytest.raises(InputError, match="10s:12s"):
        ChromeTrace.parse(window)


def test_a_window_is_read_with_and_without_units() -> None:
    assert (
        ChromeTrace.parse("10s:12.5s") == ChromeTrace.parse(" 10 : 12.5 ") == ChromeTrace(10, 12.5)
    )
