"""Runs over a prefill and a decode pool: counted by hand, and from the rows of each request."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from by_hand import SECOND, Listed
from rich.console import Console

from kvsteady.errors import InputError
from kvsteady.report.simulation import render_simulation
from kvsteady.report.simulation_html import render_simulation_html
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.fleet import DecodePool, Replica, RoundRobin, Stop, Transfer
from kvsteady.simulate.fleet.disaggregated import run_disaggregated
from kvsteady.simulate.loads import Closed, Poisson, Saturated
from kvsteady.simulate.results.simulation import load_simulation
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.simulate import simulate
from kvsteady.workload import Workload

ONE = Replica(Paper(), 100, SECOND)
LAW = Workload.classes([(10, 3), (6, 1), (4, 9)])


def pools(load, *, prefill=1, decode=1, transfer=Transfer(), kv_tokens=100, **options):  # noqa: B008 - frozen
    each = Replica(Paper(), kv_tokens, SECOND)
    router = RoundRobin()
    pool = DecodePool((each,) * decode, router if decode > 1 else None, transfer)
    return Scenario(
        load, (each,) * prefill, router if prefill > 1 else None, decode=pool, **options
    )


def test_one_request_by_hand() -> None:
    # 10 prompt tokens take an iteration, 0 s to 1 s, which brings the first token; the KV is there
    # 0.5 + 10 × 0.1 s later, at 2.5 s; tokens 2 and 3 come at 3.5 s and 4.5 s. It holds 11 KV
    # tokens for 1 s in the one pool, 12 and 13 for 1 s each in the other.
    load = Listed({"prompt": 10, "output": 3})
    run = simulate(pools(load, transfer=Transfer(0.1, latency=0.5)))
    assert (run.outcome, run.completed, run.unfinished, run.failed) == ("completed", 1, 0, 0)
    assert (run.mean_ttft_ms, run.mean_e2el_ms, run.mean_queue_ms) == (1000, 4500, 0)
    assert run.mean_tpot_ms == run.mean_itl_ms == pytest.approx(1750)
    assert run.curves.itl_ms.x[-1] == pytest.approx(2500, rel=0.01)  # from 1 s to 3.5 s
    assert run.median_itl_ms == pytest.approx(1000, rel=0.01)
    assert (run.duration, run.iterations) == (4.5, 3)
    assert (run.total_input_tokens, run.total_output_tokens) == (10, 3)
    assert run.kv_cache_usage_perc == pytest.approx((11 + 12 + 13) / (200 * 4.5))
    assert [(each.pool, each.completed) for each in run.replicas] == [("prefill", 1), ("decode", 1)]
    assert run.replicas[0].busy == pytest.approx(1 / 4.5)
    assert run.replicas[1].busy == pytest.approx(2 / 4.5)
    assert run.setup.transfer == "0.5 s and 0.1 s per token"


def test_what_is_reported_is_what_the_requests_did() -> None:
    load = Poisson(LAW, 2.0, requests=400)
    made = pools(load, prefill=2, decode=3, transfer=Transfer(0.02, 0.1), kv_tokens=40)
    run = simulate(made)
    rows = []
    assert made.decode is not None
    run_disaggregated(
        made.replicas,
        made.decode.replicas,
        load,
        made.decode.transfer,
        prefill_router=RoundRobin(),
        decode_router=RoundRobin(),
        finished=lambda _, batch: rows.append(batch),
    )
    each = np.concatenate(rows)
    assert run.completed == each.size == 400
    ttft, e2el = each["first_token"] - each["arrival"], each["finish"] - each["arrival"]
    assert run.mean_ttft_ms == pytest.approx(1000 * ttft.mean())
    assert run.p99_e2el_ms == pytest.approx(1000 * np.percentile(e2el, 99))
    gaps = (each["finish"] - each["first_token"]).sum() / (each["output"] - 1).sum()
    assert run.mean_itl_ms == pytest.approx(1000 * gaps)
    assert run.num_preemptions_total == each["preemptions"].sum() > 0
    # Every completion is seen once over time, though two replicas worked on it.
    curve = run.curves.completions_per_second
    width = 2 * curve.x[0]
    more = int((each["output"] > 1).sum())
    assert sum(curve.y[:-1]) * width == pytest.approx(more, rel=0.02)
    assert [r.name for r in run.replicas][1:3] == [
        f"prefill: {Paper().name} #1",
        f"decode: {Paper().name} #2",
    ]


def test_warm_up_and_an_early_end() -> None:
    # One request per 10 s, each 4.5 s long; measuring begins at the first arrival from 30 s on.
    load = Listed(*[{"time": 10.0 * i, "prompt": 10, "output": 3} for i in range(8)])
    run = simulate(
        pools(load, transfer=Transfer(0.1, latency=0.5), warm_up=30.0, stop=Stop(seconds=72.0))
    )
    # The last one's KV comes at 72.5 s: it is on its way when the run ends.
    assert (run.completed, run.unfinished) == (4, 1)
    assert run.mean_e2el_ms == pytest.approx(4500)
    assert run.outcome == "steady"


def test_requests_of_one_token_are_measured_like_others() -> None:
    load = Listed(*[{"time": 10.0 * i, "prompt": 10, "output": 1} for i in range(4)])
    run = simulate(pools(load, warm_up=15.0))
    assert (run.completed, run.outcome) == (2, "completed")
    assert [each.ended for each in run.replicas] == ["drained", "drained"]


def test_tables_and_reports(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("plotly")
    run = simulate(
        pools(Poisson(LAW, 1.0, requests=60), decode=2, kv_tokens=60), out=tmp_path / "out"
    )
    table = parquet.read_table(tmp_path / "out" / "requests.parquet").to_pydict()
    assert sorted(table["id"]) == list(range(60))
    single = [tokens == 1 for tokens in table["generation_tokens"]]
    assert [replica == 0 for replica in table["replica"]] == single
    iterations = parquet.read_table(tmp_path / "out" / "iterations.parquet").to_pydict()
    assert set(iterations["replica"]) == {0, 1, 2}
    assert load_simulation((tmp_path / "out" / "simulation.json").read_bytes()) == run
    stream = StringIO()
    render_simulation(run, Console(file=stream, width=160, color_system=None))
    html = render_simulation_html(run)
    for name in ("prefill: ", "decode: 2 × ", "KV moves in 0 s", *[r.name for r in run.replicas]):
        assert name in stream.getvalue()
        assert name in html


@pytest.mark.parametrize("load", [Saturated(LAW, requests=9), Closed(LAW, 3, requests=9)])
def test_loads_that_wait_for_completions_are_refused(load: object) -> None:
    with pytest.raises(InputError, match="an open loop without sessions"):
        simulate(pools(load))


def test_several_decode_replicas_need_a_router() -> None:
    with pytest.raises(InputError, match="router"):
        DecodePool((ONE, ONE))
