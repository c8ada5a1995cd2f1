"""vLLM's engine: the kernel against the plain reference, and engines.md's measurements.

The reference agrees with the real scheduler, decision by decision (`engines/vllm`).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Eviction, System
from kvsteady.model.admission import UNLIMITED
from kvsteady.policies import RateCap
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime
from vllm_runs import by_request, drawn, drawn_sharing, kernel_steps, plain_steps

SEEDS = st.integers(1000, 10**9)


def assert_same(case, steps):
    expected = [by_request(case, step) for step in plain_steps(case, steps)]
    for at, (step, wanted) in enumerate(
        zip(kernel_steps(case, steps, check=True), expected, strict=True)
    ):
        assert step == wanted, f"iteration {at} of {case.knobs}"


@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
@given(seed=SEEDS)
def test_it_decides_as_the_reference(version, seed):
    assert_same(drawn(seed, version=version), 150)


@settings(max_examples=12, deadline=None)
@example(seed=151934)  # one that has ended is evicted before the engine hears of it
@given(seed=SEEDS)
def test_it_decides_as_the_reference_asynchronously(seed):
    assert_same(drawn(seed, async_scheduling=True), 150)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_it_decides_as_the_reference_with_a_prefix_cache(seed):
    assert_same(drawn_sharing(seed), 150)


# The real scheduler, measured: prompt 16, output 32, 960 blocks of one token, a queue that never
# empties, the second half of 2,000 iterations (../shared/spec/engines.md).
def saturated(prompt: int, output: int) -> Feed:
    def batches():
        while True:
            rows = arrivals(1000)
            rows["prompt"], rows["output"], rows["limit"] = prompt, output, output
            yield rows

    return Feed(batches(), output, prompt, on_demand=True)


def measured(engine, eviction=Eviction.RESUME, pace=UNLIMITED):
    """Completions and preemptions per iteration, and the recomputed share of the tokens."""
    log: list[np.ndarray] = []
    machine = Machine(
        engine,
        960,
        UnitTime(),
        saturated(16, 32),
        eviction=eviction,
        pace=pace,
        iterations=log.append,
        log_every=1,
    )
    machine.run(2000)
    machine.flush()
    half = np.concatenate(log)[1000:2000]
    computed = half["prefill_tokens"].sum() + half["decode_tokens"].sum()
    return (
        half["completed"].mean(),
        half["preempted"].mean(),
        half["recomputed_tokens"].sum() / computed,
    )


def stock(**options):
    return Vllm(
        block_size=1,
        max_num_seqs=960,
        max_num_batched_tokens=20_000,
        enable_prefix_caching=False,
        async_scheduling=False,
        **options,
    )


@pytest.mark.parametrize(
    ("options", "completions", "preemptions", "share"),
    [
        ({}, 0.950, 0.728, 0.276),
        ({"watermark": 0.02}, 0.935, 0.588, 0.23),
        ({"watermark": 0.10}, 0.898, 0.451, 0.20),
        ({"watermark": 0.30}, 0.807, 0.203, 0.14),
        ({"max_num_active_seqs": 20}, 0.620, 0, 0),
    ],
)
def test_the_recompute_tax_is_as_measured(options, completions, preemptions, share):
    got = measured(stock(**options))
    assert got[0] == pytest.approx(completions, abs=6e-4)
    assert got[1] == pytest.approx(preemptions, abs=6e-4)
    assert got[2] == pytest.approx(share, abs=6e-3)


def test_a_rate_cap_ends_preemptions_as_measured():
    policy = RateCap(0.923)
    pace = policy.pace(System(Workload.fixed(16, 32), 960), whole_requests=True)
    assert measured(stock(), pace=pace) == (pytest.approx(0.923, abs=6e-4), 0, 0)


def test_restarting_costs_completions_as_measured():
    got = measured(stock(), Eviction.RESTART)
    assert got[0] == pytest.approx(0.624, abs=6e-4)
    assert got[1] == pytest.approx(1.212, abs=6e-4)


def test_swapped_out_requests_compute_nothing_twice():
    _, preemptions, share = measured(stock(), Eviction.SWAP)
    assert preemptions > 0.5
    assert share == 0


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"block_size": 0}, "block_size"),
        ({"max_num_seqs": 64, "max_num_batched_tokens": 63}, "max_num_batched_tokens"),
        ({"max_num_scheduled_tokens": 10_000}, "max_num_scheduled_tokens"),
        ({"max_num_active_seqs": 2000}, "max_num_active_seqs"),
        ({"watermark": 1.0}, "watermark"),
        ({"watermark": float("nan")}, "watermark"),
        ({"policy": "lifo"}, "policy"),
        ({"version": "0.6"}, "version"),
    ],
)
def test_what_vllm_refuses_is_refused_by_name(options, field):
    with pytest.raises(InputError, match=field):
        Vllm(**options)


def test_the_version_is_part_of_the_name():
    assert Vllm().name == "vllm-0.32.0"
    assert Vllm(version="0.33.0").name == "vllm-0.33.0"
