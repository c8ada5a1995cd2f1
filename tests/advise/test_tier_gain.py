"""What adjusted tiers gain, against closed forms and numbers measured elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kvsteady.advise.tier_records import load_tier_report
from kvsteady.advise.tier_runs import tier_gain
from kvsteady.advise.tiers import compare_tiers
from kvsteady.errors import InputError
from kvsteady.model import System
from kvsteady.theory import spectrum
from kvsteady.workload import Workload


def tiers(*outputs: int, prompt: int = 256) -> System:
    return System(Workload.classes([(prompt, output) for output in outputs]), 100_000)


@pytest.mark.parametrize("outputs", [(128, 256, 512), (127, 255, 509)])
def test_adjusting_by_gcd_changes_nothing_at_real_prompts(outputs: tuple[int, ...]) -> None:
    # theory, section 5: both complete 0.88 x* under restart at a prompt of 256.
    system = tiers(*outputs)
    gain = tier_gain(system, spectrum(system.workload))
    assert gain.restart_fluid_completions == pytest.approx(0.88, abs=0.006)
    assert gain.restart_integer_completions == pytest.approx(0.88, abs=0.008)
    # Section 2: under resume completions stay near x*; section 6: 48% of prefill is recomputed.
    assert gain.resume_completions == pytest.approx(1, abs=0.01)
    assert gain.recompute_tax == pytest.approx(0.48, abs=0.01)


def test_one_class_keeps_what_its_worst_cycle_does() -> None:
    # Theorem 2: (2 l0 + l1 + 1) / (2 (l0 + l1)) of x*.
    system = System(Workload.fixed(20, 8), 5000)
    gain = tier_gain(system, spectrum(system.workload))
    assert gain.restart_fluid == pytest.approx(49 / 56, rel=1e-6)
    assert gain.settled


def test_three_tiers_at_a_real_prompt_are_better_left_alone() -> None:
    report = compare_tiers(tiers(128, 256, 512), tolerance=0.02, keep=1, certified=False)
    assert report.outcome == "none-stable"
    assert [item.title for item in report.advice] == [
        "Adjusting the tiers is not worth it",
        "What stability would take",
        "Spread the lengths instead",
        "Or cap the rate of admission",
    ]
    given, *_, spread = report.rows
    assert given.gcd == 128
    assert given.tokens_gained == 0
    # The floor and the roots: spread over the top 20% is stable (tests of the theory), and a stable
    # law ends at its equilibrium.
    assert (report.cures.spread, spread.roots_outside, spread.outputs) == (0.2, 0, ())
    assert spread.gain.restart_fluid == pytest.approx(1, abs=1e-3)
    assert spread.gain.recompute_tax < given.gain.recompute_tax - 0.1
    best = next(row for row in report.rows if row.name == "best 1")
    assert best.gain.restart_fluid < 0.92
    # The cap that never evicts stays just under x*.
    assert 0.98 * given.x_star < report.cures.rate_cap < given.x_star


def test_tiers_that_can_be_made_stable_are_worth_adjusting() -> None:
    # 150:8 + 150:16 pulses (gcd 8) and loses M / (g Σ (l0 + j) S): theory, section 5.
    system = System(Workload.classes([(150, 8), (150, 16)]), 20_000)
    report = compare_tiers(system, tolerance=3, keep=1, certified=False)
    life = sum(150 + j for j in range(1, 9)) + sum(150 + j for j in range(1, 17))
    kept = (life / 2) / (8 * (158 + 166 / 2))
    assert report.rows[0].gain.restart_fluid == pytest.approx(kept, rel=1e-6)
    assert report.outcome == "stable"
    assert report.advice[0].title == "Adjust the tiers"
    best = report.rows[-1]
    assert (best.name, best.verdict, best.proved) == ("best 1", "stable", False)
    # 5 and 13 have every root inside: np.roots of 150 + 1 + m, twice as heavy up to age 5.
    w = 151.0 + np.arange(13)
    w[:5] *= 2
    assert best.outputs == (5, 13)
    by_hand = np.abs(np.roots(w)).max()
    assert best.radius == pytest.approx(by_hand)
    assert by_hand < 1
    assert best.gain.restart_fluid == pytest.approx(1, abs=1e-6)
    assert best.tokens_gained > 0.02


def test_a_cycle_that_takes_longer_to_form_than_was_run_is_not_called_harmless() -> None:
    # theory, section 5: 15 with 16 is stable from a prompt of 742; at 741 it grows very slowly.
    system = System(Workload.classes([(741, 15), (741, 16)]), 1_000_000)
    report = compare_tiers(system, tolerance=0, certified=False)
    assert report.outcome == "none-stable"
    assert not report.rows[0].gain.settled
    assert report.advice[0].title == "Not urgent"
    assert "not known" in report.advice[0].text


def test_a_cycle_that_starves_long_requests_is_named() -> None:
    load = Workload.classes([(0, 1, 0.9), (0, 100, 0.1)])
    report = compare_tiers(System(load, 10_000), tolerance=0, certified=False)
    assert report.rows[0].gain.restart_fluid > 1.5  # as found in test_theory_laws
    assert report.advice[0].title == "Long requests starve"


def test_one_class_that_cannot_move_is_told_so() -> None:
    report = compare_tiers(System(Workload.fixed(20, 8), 5000), tolerance=0, certified=False)
    assert report.advice[0].title == "Adjusting the tiers is not worth it"
    assert "as given lose least" in report.advice[0].text


def test_stable_tiers_are_left_as_they_are() -> None:
    system = System(Workload.classes([(10, 2), (10, 3)]), 5000)
    report = compare_tiers(system, tolerance=1, certified=False)
    assert report.outcome == "given-stable"
    assert [item.title for item in report.advice] == ["Leave the tiers as they are"]


def test_a_report_comes_back_as_it_was_saved() -> None:
    pytest.importorskip("flint")
    system = System(Workload.classes([(60, 8), (60, 16)]), 20_000)
    report = compare_tiers(system, tolerance=0.1, share_tolerance=0.02, compare=[(7, 13)])
    assert report.certified
    assert all(row.proved for row in report.rows)
    slack = 1 + 1e-12  # of the float radius, not of the enclosure
    for row in report.rows:
        assert row.radius_low / slack <= row.radius <= row.radius_high * slack
    assert load_tier_report(report.to_json()) == report


@pytest.mark.parametrize("change", [{"schema_version": 99}, {"rows": 3}, None])
def test_what_is_no_report_is_refused(change: dict[str, object] | None) -> None:
    system = System(Workload.classes([(10, 2), (10, 3)]), 5000)
    saved = json.loads(compare_tiers(system, tolerance=0, certified=False).to_json())
    data = b"{" if change is None else json.dumps({**saved, **change}).encode()
    with pytest.raises(InputError, match=r"saved\.json"):
        load_tier_report(data, file="saved.json")
