"""Prefill and decode pools: times by hand, and the work each of them does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.fleet import (
    LeastRequests,
    Replica,
    RoundRobin,
    Stop,
    Transfer,
    run_disaggregated,
    run_fleet,
)
from kvsteady.simulate.integrity import check_integrity
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.loads import AtOnce, Closed, Poisson, Saturated, Sessions
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload import Workload

SECOND = LinearTime(1.0, 0.0, 0.0, 0.0)
LAW = replace(Workload.classes([(10, 3), (6, 1), (4, 9)]), random=True)


class Given:
    def __init__(self, *requests):
        self.requests = requests

    def feed(self):
        rows = arrivals(len(self.requests))
        for i, (time, prompt, output) in enumerate(self.requests):
            rows[i]["id"] = 10 + i
            rows[i]["time"], rows[i]["prompt"], rows[i]["output"] = time, prompt, output
        rows["limit"] = rows["output"]
        return Feed(
            iter([rows]), int(rows["output"].max()), int(rows["prompt"].max()), total=rows.size
        )


def run(load, *, transfer=Transfer(), prefill=1, decode=1, kv_tokens=10_000, **options):  # noqa: B008 - frozen
    rows = []
    pools = run_disaggregated(
        [Replica(Paper(), kv_tokens, SECOND)] * prefill,
        [Replica(Paper(), kv_tokens, SECOND)] * decode,
        load,
        transfer,
        finished=lambda i, batch: rows.append((i, batch)),
        **options,
    )
    for machine in pools.prefill + pools.decode:
        check_integrity(machine)
    merged = np.concatenate([batch for _, batch in rows])
    return merged[np.argsort(merged["id"])], pools, rows


def test_times_by_hand():
    # 10 prompt tokens take an iteration, 0 s to 1 s, which brings the first token; the KV is there
    # 0.5 + 10 × 0.1 s later, at 2.5 s; tokens 2 and 3 come at 3.5 s and 4.5 s.
    rows, pools, _ = run(Given((0.0, 10, 3)), transfer=Transfer(0.1, latency=0.5))
    (row,) = rows
    assert (row["arrival"], row["scheduled"], row["first_token"]) == (0.0, 0.0, 1.0)
    assert row["finish"] == pytest.approx(4.5, abs=1e-12)
    assert (row["id"], row["prompt"], row["output"]) == (10, 10, 3)
    # The prompt was computed once, its first output token's KV in the other pool.
    assert pools.prefill[0].clock["all_prefill"] == 10
    assert pools.decode[0].clock["all_prefill"] == 1
    assert pools.decode[0].clock["all_hits"] == 0


def test_one_token_needs_no_decode_pool():
    rows, _, handed = run(Given((0.0, 10, 1), (0.0, 5, 2)))
    assert rows["finish"].tolist() == [1.0, 2.0]
    assert [i for i, _ in handed] == [0, 1]
    rows, pools, _ = run(Given((0.0, 10, 1)))
    assert (rows.size, int(pools.decode[0].clock["iteration"])) == (1, 0)


def test_what_never_fits_is_rejected_once():
    rows, _, _ = run(Given((0.0, 10, 30), (0.0, 50, 2), (0.0, 5, 2)), kv_tokens=30)
    # 10 + 30 tokens fit the prefill pool, which holds 11 of them, but not the decode pool.
    assert rows["status"].tolist() == [1, 1, 0]
    assert rows["output"].tolist() == [30, 2, 2]
    assert rows["prompt"].tolist() == [10, 50, 5]


def test_the_order_of_arrival_is_that_of_the_transfers():
    # Both prefills end at 1 s; the longer one's KV is later.
    rows, _, _ = run(Given((0.0, 9, 2), (0.0, 3, 2)), transfer=Transfer(0.5))
    assert rows["finish"].tolist() == [6.5, 3.5]


def test_a_link():
    transfer = Transfer.over(bandwidth=50e9, bytes_per_token=131_072, latency=0.002)
    # Llama-3-8B: 2,048 tokens are 268 MB, 5.4 ms over 50 GB/s.
    assert transfer.seconds(2048) == pytest.approx(0.002 + 2048 * 131_072 / 50e9)


@pytest.mark.parametrize("router", [RoundRobin(), LeastRequests()])
def test_everyone_comes_through(router):
    load = Poisson(LAW, 2.0, requests=500)
    rows, pools, _ = run(
        load,
        transfer=Transfer(0.01),
        prefill=2,
        decode=3,
        kv_tokens=40,
        prefill_router=router,
        decode_router=router,
    )
    assert rows["id"].tolist() == list(range(500))
    asked = np.concatenate(list(load.feed().batches))
    for name in ("prompt", "output", "kind"):
        np.testing.assert_array_equal(rows[name], asked[name])
    np.testing.assert_array_equal(rows["arrival"], asked["time"])
    order = ("arrival", "scheduled", "first_token", "finish")
    for before, after in pairwise(order):
        assert (rows[before] <= rows[after]).all()
    # After the first token: the transfer, and an iteration for each other token.
    more = rows["output"] > 1
    least = 0.01 * rows["prompt"] + rows["output"] - 1
    assert (rows["finish"] - rows["first_token"] >= least - 1e-9)[more].all()
    preempted = sum(int(m.clock["all_preempted"]) for m in pools.prefill + pools.decode)
    assert rows["preemptions"].sum() == preempted > 0


def test_with_time_to_spare_the_pools_are_as_fast_as_one_engine():
    # One iteration per token either way, and moving the KV takes no time.
    load = AtOnce(LAW, 50)
    apart, _, _ = run(load)
    together = []
    run_fleet([Replica(Paper(), 10_000, SECOND)], load, finished=lambda *of: together.append(of[1]))
    whole = np.concatenate(together)
    np.testing.assert_array_equal(apart["finish"], whole[np.argsort(whole["id"])]["finish"])


def test_gaps_between_tokens_are_counted_once_each():
    load = AtOnce(LAW, 50)
    rows, pools, _ = run(load, transfer=Transfer(0.0, latency=3.0))
    gaps = sum(machine.state.gaps for machine in pools.prefill + pools.decode)
    assert gaps.sum() == (rows["output"] - 1).sum()


@pytest.mark.parametrize(
    ("load", "stop", "field"),
    [
        (Saturated(LAW, requests=9), None, "load"),
        (Closed(LAW, 3, requests=9), None, "load"),
        (Sessions(LAW, 3, 1.0), None, "load"),
        (Poisson(LAW, 1.0), None, "stop"),
        (Poisson(LAW, 1.0), Stop(completed=9), "stop"),
    ],
)
def test_what_cannot_be_run_is_named(load, stop, field):
    with pytest.raises(InputError) as error:
        run(load, stop=stop)
    assert error.value.field == field


def test_a_load_without_end_is_cut():
    rows, _, _ = run(Poisson(LAW, 2.0), stop=Stop(seconds=50.0))
    assert 60 < rows.size < 140
    assert (rows["scheduled"] < 50).all()
