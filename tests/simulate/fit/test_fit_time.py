"""Fitting: a made-up run gives back its own coefficients; bad input is named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from recordings import BUDGET, SEQS, TRUTH, made_up, plainly

from kvsteady.errors import InputError
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.fit import compare, fit_time, replay_on
from kvsteady.simulate.fit.replay import TERMS
from kvsteady.simulate.times import LinearTime

WRONG = LinearTime(8e-3, 3e-5, 2e-4, 1e-7)


def test_the_truth_has_no_error() -> None:
    run = made_up(1)
    errors = compare(run, plainly(run, TRUTH))
    assert errors.requests == 80
    for metric in (errors.ttft, errors.tpot, errors.e2e):
        assert metric.median_error == 0.0
        assert metric.errors == (0.0, 0.0, 0.0)
    assert errors.running == 0.0
    assert errors.output_throughput[0] == errors.output_throughput[1]


def test_errors_are_those_of_half_the_speed() -> None:
    # All requests at once, and every iteration takes twice as long: so does everything.
    run = made_up(2, gap=1e-9)
    twice = LinearTime(**{name: 2 * getattr(TRUTH, name) for name in TERMS})
    errors = compare(run, plainly(run, twice))
    for metric in (errors.ttft, errors.tpot, errors.e2e):
        assert metric.median_error == pytest.approx(1.0, rel=1e-5)
        assert metric.errors == pytest.approx((1.0, 1.0, 1.0), rel=1e-5)
    assert errors.output_throughput[1] == pytest.approx(errors.output_throughput[0] / 2)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_run_of_changing_batches_gives_back_its_coefficients(seed: int) -> None:
    run = made_up(seed, gap=0.2)
    fit = fit_time(run, partial(plainly, run), WRONG, trust=1e-5)
    for name in TERMS:
        assert getattr(fit.time, name) == pytest.approx(getattr(TRUTH, name), rel=0.08), name
    assert fit.trained.e2e.median_error < 0.002
    assert fit.held_out is None


def test_a_saturated_run_still_gives_back_its_times() -> None:
    # The batch is always full: coefficients trade for one another, predictions hold.
    run = made_up(3)
    fit = fit_time(run, partial(plainly, run), WRONG, trust=1e-5)
    assert fit.time.iteration == pytest.approx(TRUTH.iteration, rel=0.02)
    assert fit.trained.e2e.median_error < 0.01


def test_the_first_half_predicts_the_second() -> None:
    run = made_up(5, count=120)
    cut = float(np.median(run.finish))
    fit = fit_time(run, partial(plainly, run), WRONG, until=cut)
    assert fit.held_out is not None
    # no iteration is shared, and both parts are there
    assert fit.trained.requests == (run.finish <= cut).sum()
    assert 20 < fit.held_out.requests == (run.scheduled > cut).sum()
    assert fit.held_out.e2e.median_error < 0.06
    untouched = compare(run, plainly(run, WRONG), run.scheduled > cut)
    assert untouched.e2e.median_error > 3 * fit.held_out.e2e.median_error


def test_all_trust_is_the_prior() -> None:
    run = made_up(6)
    fit = fit_time(run, partial(plainly, run), WRONG, trust=1e3, rounds=3)
    assert fit.time.iteration == pytest.approx(WRONG.iteration, rel=1e-3)
    assert fit.time.kv_read == pytest.approx(WRONG.kv_read, rel=1e-3)


def test_the_simulators_vllm_replays_as_the_plain_one() -> None:
    run = made_up(7)
    engine = Vllm(max_num_seqs=SEQS, max_num_batched_tokens=BUDGET, async_scheduling=False)
    found = replay_on(run, engine, kv_tokens=100_000)(TRUTH)
    expected = plainly(run, TRUTH)
    for name in ("scheduled", "first_token", "finish"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-9)
    assert found.features.sum(axis=0) == pytest.approx(expected.features.sum(axis=0), rel=1e-9)


def test_memory_too_small_for_a_request_is_said() -> None:
    run = made_up(8)
    engine = Vllm(max_num_seqs=SEQS, max_num_batched_tokens=BUDGET)
    with pytest.raises(InputError, match="do not complete"):
        replay_on(run, engine, kv_tokens=320)(TRUTH)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"until": 0.0}, "until"), ({"trust": 0.0}, "trust"), ({"rounds": 0}, "rounds")],
)
def test_bad_input_is_named(change, field: str) -> None:
    run = made_up(9)
    with pytest.raises(InputError) as caught:
        fit_time(run, partial(plainly, run), WRONG, **change)
    assert caught.value.field == field


def test_requests_of_one_token_tell_nothing() -> None:
    run = made_up(10, count=20, gap=5.0)
    single = replace(run, finish=run.first_token, output=np.ones_like(run.output))
    with pytest.raises(InputError, match="intervals to fit to"):
        fit_time(single, partial(plainly, single), WRONG)
