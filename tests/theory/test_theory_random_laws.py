"""Random lengths: caps, closed forms, and evictions by chance against a plain engine."""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import System
from kvsteady.theory import Monotone, Stability
from kvsteady.theory.laws import (
    cap_table,
    chance_evictions,
    geometric_multiplier,
    law_systems,
    law_table,
    noise_scaling,
    stable_cap,
    system_for,
)
from kvsteady.workload import Lengths, Workload, independent, preset
from reference import fluid
from reference.integer import AtRandom, Engine
from reference.systems import workloads


def prompted(prompt: int, outputs: Lengths) -> Workload:
    return independent(Lengths.fixed(prompt), outputs)


@settings(deadline=None, max_examples=60)
@given(workloads(), st.integers(1, 12))
def test_a_cap_cuts_the_survival_polynomial_short(load: Workload, cap: int) -> None:
    rows = list(zip(load.prompt.tolist(), load.output.tolist(), load.share.tolist(), strict=True))
    (row,) = cap_table(load, [cap])
    length = min(cap, load.longest_output)
    # w_m of the law as it was, by its definition; the cap enters through their number alone.
    weights = [sum(p * (l0 + m + 1) for l0, l1, p in rows if l1 > m) for m in range(length)]
    assert load.capped(cap).memory_weights() == pytest.approx(weights)
    assert row.max_tokens == length
    assert row.atom == pytest.approx(sum(p for _, l1, p in rows if l1 >= length))
    sizes = np.abs(np.roots(weights))
    if sizes.size and abs(sizes.max() - 1) > 1e-6:
        assert (row.outcome is Stability.STABLE) == (sizes.max() < 1)
        assert row.margin == pytest.approx(1 - sizes.max(), abs=1e-6)


@pytest.mark.parametrize(("prompt", "mean"), [(30, 20), (30, 31.9), (200, 200)])
def test_outputs_that_end_often_enough_are_stable_under_any_cap(prompt: int, mean: float) -> None:
    # Hazard 1/mean above 1/(l0 + 2): weights fall from the start, whatever hits the cap.
    caps = [2, 5, 17, 60, 100]
    for row in cap_table(prompted(prompt, Lengths.geometric(mean, 100)), caps):
        assert row.outcome is Stability.STABLE
        assert row.roots_outside == 0
    weights = prompted(prompt, Lengths.geometric(mean, 100)).memory_weights()
    assert all(np.abs(np.roots(weights[:cap])).max() < 1 for cap in caps)
    assert stable_cap(prompted(prompt, Lengths.geometric(mean))) == 1


def test_outputs_that_end_too_rarely_are_unstable_until_the_cap_is_far_out() -> None:
    load = prompted(30, Lengths.geometric(60, 1200))
    assert load.memory_weights()[1] > load.memory_weights()[0]
    cap = stable_cap(load)
    for length, stable in ((cap, True), (cap - 1, False)):
        weights = [(31 + m) * (1 - 1 / 60) ** m for m in range(length)]
        assert bool(np.abs(np.roots(weights)).max() < 1) is stable
    assert stable_cap(Workload.fixed(30, 60)) is None


def test_log_normal_outputs_settle_from_a_cap_on() -> None:
    load = prompted(20, Lengths.lognormal(60, 1.0, 3000))
    cap = stable_cap(load)
    assert 100 < cap < 500
    survival = [0.5 * math.erfc(math.log(m / 60) / math.sqrt(2)) if m else 1 for m in range(cap)]
    for length, stable in ((cap, True), (cap - 1, False)):
        weights = [(21 + m) * survival[m] for m in range(length)]
        assert bool(np.abs(np.roots(weights)).max() < 1) is stable


@pytest.mark.parametrize(("prompt", "mean"), [(0, 5.0), (30, 20.0), (200, 200.0)])
def test_the_one_multiplier_of_geometric_outputs(prompt: int, mean: float) -> None:
    # The response to one extra admission, from Σ w_m d_{t−m} = 0 alone: after two iterations it
    # shrinks by the same factor each time.
    q = 1 - 1 / mean
    weights = [(prompt + m + 1) * q**m for m in range(40)]
    response = [1.0]
    for t in range(1, 40):
        response.append(-sum(weights[m] * response[t - m] for m in range(1, t + 1)) / weights[0])
    multiplier = geometric_multiplier(prompt, mean)
    for t in range(3, 12):
        # At l0 = 0 the multiplier is 0: two iterations later nothing is left.
        assert response[t] == pytest.approx(multiplier * response[t - 1], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("cap", [40, 100, 200])
def test_the_radius_of_capped_geometric_outputs(cap: int) -> None:
    prompt, q = 30, 0.95
    size = np.abs(np.roots([(prompt + m + 1) * q**m for m in range(cap)])).max()
    law = q * ((2 * (prompt + cap) + 1) / (2 * prompt + 1)) ** (1 / cap)
    assert size == pytest.approx(law, abs=2e-4)
    row = cap_table(prompted(prompt, Lengths.geometric(20)), [cap])[0]
    assert row.radius == pytest.approx(size, rel=1e-7)


def test_evictions_by_chance_are_those_of_a_plain_engine() -> None:
    load = prompted(15, Lengths.uniform(1, 12))
    system = System(load, 900)
    (row,) = law_table([system], runs=6, lives=200)
    assert row.by_chance
    assert row.spectrum.outcome is Stability.STABLE
    assert (row.cycle, row.chance_share) == (0.0, 1.0)
    evicted = wasted = 0.0
    rates = []
    for seed in range(100, 104):  # other draws than the table's
        engine = Engine(
            load.prompt.tolist(), load.output.tolist(), 900, AtRandom(load.tickets.tolist(), seed)
        )
        rows = np.array([engine.step() for _ in range(4000)])[100:].sum(axis=0)
        rates.append(rows[1] / rows[2])
        evicted += rows[1] / rows[2] / 4
        wasted += rows[6] / rows[4] / 4
    error = float(np.std(rates, ddof=1)) / 2
    assert row.evictions.error < 0.05 * row.evictions.mean
    assert abs(row.evictions.mean - evicted) < 5 * math.hypot(error, row.evictions.error)
    assert row.wasted.mean == pytest.approx(wasted, rel=0.1)


def test_azure_is_evicted_by_chance_as_often_as_measured_elsewhere() -> None:
    # Theory, section 7: 3.6% of completions at M = 430,000 and 12% at 100,000.
    load = preset("azure-conv")
    for row, share in zip(
        law_table([System(load, 430_000), System(load, 100_000)], runs=4),
        (0.036, 0.12),
        strict=True,
    ):
        assert row.by_chance
        assert row.evictions.mean == pytest.approx(share, rel=0.06)
        assert row.evictions.error < 0.05 * row.evictions.mean
        assert row.margin == pytest.approx(1 - 0.99743, abs=1e-5)


def test_error_bars_cover_the_difference_of_other_draws() -> None:
    system = system_for(prompted(50, Lengths.geometric(40, 120)), 60)
    first, second = (law_table([system], runs=10, seed=seed)[0] for seed in (0, 1000))
    spread = math.hypot(first.evictions.error, second.evictions.error)
    assert 0 < abs(first.evictions.mean - second.evictions.mean) < 4 * spread
    assert (first.runs, first.iterations) == (10, 20_000)
    assert "±" in str(first.evictions)


def test_fixed_lengths_lose_to_a_cycle_and_nothing_to_chance() -> None:
    (row,) = law_table([System(Workload.fixed(2, 2), 140)])
    # Theory, section 8: … → [0, 35] → [46, 0] → …: 46 admitted, 11 evicted, 35 completed.
    assert row.evictions.mean == pytest.approx(11 / 35)
    assert row.wasted.mean == pytest.approx(11 / (46 + 35))
    assert (row.evictions.error, row.runs, row.by_chance) == (0.0, 1, False)
    assert row.chance_share == 0
    # The worst cycle of the fluid model, M = 140: 140/3 admitted, 35 stay and complete.
    assert row.cycle == pytest.approx((140 / 3 - 35) / 35)
    assert row.spectrum.monotone is Monotone.INCREASING
    assert row.atom == 1


def test_where_the_equilibrium_is_unstable_a_cycle_joins_chance() -> None:
    load = Workload.from_counts([9, 9, 9, 9], [4, 9, 15, 22], [4, 3, 2, 1], random=True)
    (row,) = law_table([System(load, 2000)], runs=4)
    assert np.abs(np.roots(load.memory_weights())).max() > 1
    assert not row.by_chance
    # The fluid model, stage by stage, long after an empty start.
    x, evicted, completed = np.zeros((4, 22)), 0.0, 0.0
    for n in range(3000):
        done, x = fluid.step(x, load.prompt, load.output, load.share, 2000)
        if n >= 2000:
            evicted, completed = evicted + done.evicted, completed + done.completed
    assert evicted > 0
    assert row.cycle == pytest.approx(evicted / completed, rel=0.03)
    assert row.chance_share == pytest.approx(1 - row.cycle / row.evictions.mean)
    assert 0 < row.chance_share < 1


def test_the_systems_of_the_table_hold_the_same_number_of_requests() -> None:
    systems = law_systems(running=100)
    assert len(systems) == 9
    for system in systems:
        load = system.workload
        rate = system.kv_tokens / float(load.memory_weights().sum())
        if system.kv_tokens > load.largest_request:
            assert rate * load.mean_output == pytest.approx(100, rel=1e-3)
    shares = [row.workload.survival[-1] for row in systems]
    assert shares[0] == 1
    assert shares[6] == pytest.approx(0.5 * math.erfc(math.log(1023 / 600) / math.sqrt(2)))
    tight = system_for(Workload.classes([(5, 2, 0.999), (5, 4000, 0.001)]), 1)
    assert tight.kv_tokens == 4005


def mooncake_rows() -> list[tuple[int, int]]:
    """(prompt, output) of every request of the trace, read without kvsteady's readers."""
    root = Path(__file__).parents[2]
    shared = Path(os.environ.get("KVSTEADY_SHARED", root.parent / "shared"))
    path = shared / "data" / "mooncake" / "conversation_trace.jsonl"
    if not path.is_file():
        pytest.skip(f"no Mooncake trace at {path}: set KVSTEADY_SHARED")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [(row["input_length"], row["output_length"]) for row in rows]


def test_the_bundled_mooncake_table_is_the_law_of_the_trace() -> None:
    load = preset("mooncake-conv")
    rows = zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True)
    assert {(p, o): n for p, o, n in rows} == Counter(mooncake_rows())
    assert load.random
    assert any("prefixes" in note for note in load.notes)


class Bisected(AtRandom):
    """The same draws; the class is found by bisection, for thousands of classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.below = list(accumulate(self.weights))

    def draw(self) -> int:
        return bisect_right(self.below, (next(self.stream) >> 11) / 2**53 * self.below[-1])


def roots_outside(weights: np.ndarray, radius: float) -> int:
    """Roots with |z| > radius, by the argument along 2^18 points of that circle."""
    scaled = weights * radius ** -np.arange(weights.size, dtype=float)
    turns = np.angle(np.fft.fft(scaled, 2**18))
    return -round(float(np.diff(np.unwrap(np.append(turns, turns[0]))).sum()) / (2 * np.pi))


def test_mooncake_in_the_table_against_a_plain_engine() -> None:
    system = law_systems(running=64)[-1]
    load = system.workload
    assert load.name == "mooncake-conv"
    (row,) = law_table([system], runs=3, lives=1)
    assert row.spectrum.outcome is Stability.STABLE
    assert (row.by_chance, row.cycle) == (True, 0.0)
    weights = np.zeros(load.longest_output)
    for prompt, output, count in zip(load.prompt, load.output, load.tickets, strict=True):
        weights[:output] += count * (prompt + 1 + np.arange(output))
    # A root has this modulus, and none one that is larger by 1e-4.
    terms = weights * row.spectrum.modes[0] ** -np.arange(weights.size)
    assert abs(terms.sum()) < 1e-9 * np.abs(terms).sum()
    assert abs(row.spectrum.modes[0]) == pytest.approx(row.spectrum.radius, rel=1e-9)
    assert roots_outside(weights, row.spectrum.radius * (1 + 1e-4)) == 0
    assert roots_outside(weights, row.spectrum.radius * (1 - 1e-4)) >= 1
    # The table's draws one request at a time: same evictions, hence same mean and error bar.
    rates = []
    for seed in range(3):
        queue = Bisected(load.tickets.tolist(), seed)
        engine = Engine(load.prompt.tolist(), load.output.tolist(), system.kv_tokens, queue)
        settle = 3 * load.longest_output
        rows = np.array([engine.step() for _ in range(settle + row.iterations)])[settle:]
        rates.append(rows[:, 1].sum() / rows[:, 2].sum())
    assert row.iterations == 20_000
    assert row.evictions.mean == pytest.approx(np.mean(rates), rel=1e-12)
    assert row.evictions.error == pytest.approx(np.std(rates, ddof=1) / math.sqrt(3), rel=1e-9)
    assert 0 < row.evictions.error < 0.2 * row.evictions.mean


def published_rows() -> list[list[str]]:
    """Rows of the table of docs/theory.md, section 13, cell by cell."""
    page = (Path(__file__).parents[2] / "docs" / "theory.md").read_text("utf-8")
    _, _, table = page.partition("| law | verdict | radius | evicted per completion |\n")
    lines = table.splitlines()[1:]
    rows = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_the_theory_page_is_what_is_measured() -> None:
    published = published_rows()
    # Other draws, and fewer of them, than the eight runs that the page gives.
    rows = law_table(law_systems(), runs=4, lives=2, seed=1000)
    assert len(published) == len(rows) == 9
    for (name, verdict, radius, evicted), row in zip(published, rows, strict=True):
        assert verdict == row.spectrum.outcome.name.lower(), name
        assert float(radius) == pytest.approx(row.spectrum.radius, abs=6e-6), name
        mean, _, error = (part.strip() for part in evicted.partition("±"))
        spread = math.hypot(row.evictions.error, float(error or 0))
        # Three figures are printed; four runs know their error to a half of it.
        assert abs(float(mean) - row.evictions.mean) < 6 * spread + 0.005 * float(mean), name


def test_noise_falls_slowly_at_first_and_then_like_a_normal_tail() -> None:
    scaling = noise_scaling(
        prompted(200, Lengths.geometric(50, 200)), running=(8, 32, 128, 512), runs=6
    )
    slopes = [exponent.mean for exponent in scaling.exponents]
    assert -0.5 < slopes[0] < 0
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[-1] < -1
    assert all(exponent.error < 0.1 for exponent in scaling.exponents)
    for row, estimate in zip(scaling.rows[1:], scaling.estimates[1:], strict=True):
        assert 0.3 < row.evictions.mean / estimate.evictions < 1.1 or estimate.z > 1.5


def test_the_estimate_is_the_mean_shortfall_of_a_normal_number() -> None:
    load = Workload.from_counts([30, 30], [10, 20], [1, 3], random=True)
    system = System(load, 20_000)
    estimate = chance_evictions(system)
    # Drawn: completions free a normal number of tokens whose mean exceeds what is needed.
    rate = 20_000 / sum((31 + m) * (1 if m < 10 else 0.75) for m in range(20))
    deviation = math.sqrt(rate * (0.25 * 40**2 + 0.75 * 50**2))
    draws = np.random.default_rng(4).normal(rate * 31, deviation, size=1_000_000)
    shortfall = float(np.maximum(-draws, 0).mean())
    assert estimate.z == pytest.approx(rate * 31 / deviation)
    assert estimate.evictions * rate * 31 == pytest.approx(shortfall, rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda load: law_table([System(load, 1000)], runs=1),
        lambda load: law_table([System(load, 1000)], lives=0),
        lambda load: cap_table(load, [0]),
        lambda load: system_for(load, 0),
        lambda load: noise_scaling(load, [64]),
        lambda load: noise_scaling(load, [64, 64]),
        lambda _: geometric_multiplier(5, 1.0),
    ],
)
def test_impossible_tables_are_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        wrong(Workload.from_counts([5, 5], [2, 4], [1, 1], random=True))
