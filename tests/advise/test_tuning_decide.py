"""From runs to an outcome: intervals by hand, the simplest of equals, and when to do nothing."""

from __future__ import annotations

import pytest

from kvsteady.advise.tuning import TuningOutcome
from kvsteady.advise.tuning.candidates import Candidate
from kvsteady.advise.tuning.change import Change
from kvsteady.advise.tuning.compare import GOODPUT, TOKENS, TTFT, effects, gains, objective_of
from kvsteady.advise.tuning.decide import decide, front_runner
from kvsteady.advise.tuning.record import Measured
from kvsteady.advise.tuning.runs import Played, measured
from kvsteady.league.measure import Result
from league_rows import NUMBERS

FLAG = Change((("watermark", 0.05),))
TWO_FLAGS = Change((("max_num_seqs", 9), ("watermark", 0.05)))
STEADY = Change(policy="steady")
CAP = Change(policy="rate-cap", constants=(("rate", 0.5),))
UNTIMED = NUMBERS | {"ttft_p99_s": None, "goodput": None, "recovered": None}


def runs(tokens: tuple[float, ...], **more: object) -> tuple[Result, ...]:
    return tuple(Result(tokens_per_second=each, **(UNTIMED | more)) for each in tokens)


NOW = runs((100.0,) * 5, evictions_per_completion=0.7)


def played(change: Change, *tokens: float, **more: object) -> Played:
    return Played(Candidate(str(change), lambda _: change), change, runs(tokens, **more))


def found(each: Played, objective=TOKENS, now: tuple[Result, ...] = NOW) -> Measured:
    return measured("vllm", objective, Played(each.candidate, Change(), now), each)


def outcome(*tokens: float, change: Change = FLAG, **more: object) -> TuningOutcome:
    return decide(TOKENS, found(played(change, *tokens, **more)))


def test_a_gain_is_students_interval_of_differences_by_seed() -> None:
    # +1 … +5%: mean 3%, s = √2.5%, t(4) = 2.7764 from any table: half 2.7764 · √(2.5 / 5) = 1.9632.
    gain = found(played(FLAG, 101, 102, 103, 104, 105)).gain
    assert gain is not None
    assert gain.mean == pytest.approx(0.03)
    assert (gain.low, gain.high) == pytest.approx((0.03 - 0.019632, 0.03 + 0.019632), abs=1e-6)
    # What differs from seed to seed in both cancels: ±0 though seeds lie 50% apart.
    now = runs((100.0, 150.0))
    both = found(played(FLAG, 110, 160), now=now).gain
    assert both is not None
    assert (both.low, both.high) == pytest.approx((10 / 125, 10 / 125))


def test_effects_are_paired_too_and_missing_numbers_left_out() -> None:
    (effect,) = [e for e in effects(NOW, runs((101, 103, 105, 107, 109))) if "token" in e.name]
    # Differences 1, 3 … 9: twice the spread of above.
    assert effect.change.mean == 5
    assert effect.change.high - effect.change.mean == pytest.approx(2 * 1.9632, abs=1e-4)
    names = {each.name for each in effects(NOW, NOW)}
    assert "recompute_tax" in names
    assert not names & {"ttft_p99_s", "goodput"}


def test_a_sure_gain_is_acted_on_and_an_unsure_one_is_not() -> None:
    assert outcome(101, 102, 103, 104, 105) is TuningOutcome.SET_FLAGS
    assert outcome(101, 102, 103, 104, 105, change=STEADY) is TuningOutcome.USE_POLICY
    # The same spread about +1%: inside the noise, and 6% is excluded.
    assert outcome(99, 100, 101, 102, 103) is TuningOutcome.DO_NOTHING
    # Sure, but 1% is not worth a change.
    assert outcome(101, 101, 101, 101, 101) is TuningOutcome.DO_NOTHING
    # A loss, however wide its interval.
    assert outcome(60, 70, 80, 95, 140) is TuningOutcome.DO_NOTHING
    # +3% on average, from −10 to +20%: neither shown nor excluded.
    assert outcome(90, 95, 100, 110, 120) is TuningOutcome.CANNOT_TELL
    assert decide(TOKENS, None) is TuningOutcome.DO_NOTHING


def test_a_gain_needs_fewer_evictions_or_more_completions_behind_it() -> None:
    same = {"evictions_per_completion": 0.7}
    assert outcome(110, 110, 110, 110, 110, **same) is TuningOutcome.DO_NOTHING
    more = same | {"completions_per_iteration": 1.05}
    assert outcome(110, 110, 110, 110, 110, **more) is TuningOutcome.SET_FLAGS


def test_a_stalled_run_gains_nothing() -> None:
    each = played(FLAG, 110, 110, 110, 110, 110, outcome="stalled")
    assert found(each).outcome == "stalled"
    assert found(each).gain is None
    assert outcome(110, 110, 110, 110, 110, outcome="livelocked") is TuningOutcome.DO_NOTHING


def chosen(*compared: Played) -> Change:
    ahead = front_runner(TOKENS, NOW, [(each, found(each)) for each in compared])
    assert ahead is not None
    return ahead.change


def test_of_gains_that_cannot_be_told_apart_the_simplest_runs_in_front() -> None:
    wide = (104.0, 106, 110, 114, 116)
    cap, steady = played(CAP, *wide), played(STEADY, 103, 108, 109, 113, 117)
    # One flag before two, flags before policies, a policy without constants before one with.
    one, two = played(FLAG, 101, 109, 111, 112, 114), played(TWO_FLAGS, 102, 109, 111, 112, 114)
    assert chosen(cap, steady, two, one) == FLAG
    assert chosen(cap, steady, two) == TWO_FLAGS
    assert chosen(cap, steady) == STEADY
    # A flag that is surely behind, by more than what is worth a change, is not enough.
    behind = played(FLAG, 101, 103, 107, 111, 113)
    assert chosen(cap, behind) == CAP
    # Surely, but by less than that.
    assert chosen(cap, played(FLAG, 103, 105, 109, 113, 115)) == FLAG


def test_what_is_not_worth_it_is_no_rival_of_what_is() -> None:
    noise = played(FLAG, 90, 95, 105, 115, 140)
    sure = played(STEADY, 105, 105, 105, 105, 105)
    assert chosen(noise, sure) == STEADY
    assert front_runner(TOKENS, NOW, []) is None


def test_the_objective_follows_the_load() -> None:
    good = {"ttft_p99_s": 1.0, "goodput": 9.0}
    assert objective_of(NOW[0]) is TOKENS
    assert objective_of(runs((1,), good=0.5, **good)[0]) is GOODPUT
    assert objective_of(runs((1,), good=1.0, **good)[0]) is TTFT
    assert objective_of(runs((1,), good=0.0, **good)[0]) is TTFT


def slow(seconds: float, **more: object) -> tuple[Result, ...]:
    numbers = {"ttft_p99_s": seconds, "goodput": 9.0, "good": 1.0} | more
    return runs((100.0,) * 3, **numbers)


def test_less_time_to_the_first_token_is_a_gain_unless_it_is_nobodys_concern() -> None:
    now = slow(1.0, evictions_per_completion=0.5)

    def tail(seconds: float, **more: object) -> TuningOutcome:
        each = Played(Candidate("x", lambda _: FLAG), FLAG, slow(seconds, **more))
        assert gains(TTFT, now, each.results) == pytest.approx([1 - seconds] * 3)
        return decide(TTFT, found(each, TTFT, now))

    assert tail(0.8) is TuningOutcome.SET_FLAGS
    assert tail(0.95) is TuningOutcome.DO_NOTHING  # less than a tenth
    assert tail(1.2) is TuningOutcome.DO_NOTHING
    assert tail(0.8, goodput=8.5) is TuningOutcome.DO_NOTHING  # at the price of goodput
    now = slow(0.1, evictions_per_completion=0.5)
    each = Played(Candidate("x", lambda _: FLAG), FLAG, slow(0.08))
    assert decide(TTFT, found(each, TTFT, now)) is TuningOutcome.DO_NOTHING  # 20 ms
