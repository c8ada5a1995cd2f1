"""Verdicts of the league: what holds, misses, or is within the noise."""

from __future__ import annotations

import msgspec
import pytest

from kvsteady.league import Row
from kvsteady.league.verdicts import judge
from kvsteady.league.workloads import CONTESTS
from kvsteady.report.league import sentence
from league_rows import made


def standings(contest: str, *rows: Row, fronts: tuple[Row, ...] = ()) -> list[str]:
    return [verdict.standing for verdict in judge(CONTESTS[contest], rows, fronts)]


def test_verdicts_hold_miss_and_know_noise() -> None:
    best, worse = made("greedy", "baseline", 100.0, 100.0), made("wait", "baseline", 50.0, 50.0)
    bound = made("look-ahead", "oracle", 900.0, 900.0)
    rest = (best, worse, bound)
    assert standings("azure", made("steady", "ours", 99.5, 99.6), *rest) == ["holds"] * 3
    assert standings("azure", made("steady", "ours", 97.0, 97.1), *rest)[0] == "missed"
    assert standings("azure", made("steady", "ours", 97.0, 100.0), *rest)[0] == "noise"
    assert standings(
        "azure", made("steady", "ours", 99.0, 99.0, recompute_tax=0.02, of_x=0.9), *rest
    ) == ["holds", "missed", "missed"]
    assert standings("azure", *rest) == []


def test_below_a_hundred_and_under_heavy_tails_the_front_is_the_bar() -> None:
    rival = made("greedy", "baseline", 100.0, of_x=0.95, recompute_tax=0.1)
    ours = {"of_x": 0.8, "recompute_tax": 0.05, "decoding": 50.0}
    assert standings("azure", made("steady", "ours", 100.0, **ours), rival) == ["holds"]
    rival = made("greedy", "baseline", 100.0, of_x=0.95, recompute_tax=0.05)
    assert standings("azure", made("steady", "ours", 100.0, **ours), rival) == ["holds", "missed"]
    # With constants that were chosen for the front, too.
    rival = made("greedy", "baseline", 100.0, of_x=0.7, recompute_tax=0.0)
    front = made("wait", "baseline", 50.0, of_x=0.9, recompute_tax=0.05)
    assert standings("azure", made("steady", "ours", 100.0, **ours), rival, fronts=(front,)) == [
        "holds",
        "missed",
    ]


def several(entrant: str, role: str, of_x: list[float], tax: list[float]) -> Row:
    """A row whose seeds differ in completions and tax."""
    one = made(entrant, role, *([1.0] * len(of_x)), decoding=50.0)
    results = tuple(
        msgspec.structs.replace(result, of_x=x, recompute_tax=t)
        for result, x, t in zip(one.results, of_x, tax, strict=True)
    )
    return msgspec.structs.replace(one, results=results)


def test_the_front_is_judged_over_all_seeds() -> None:
    ours = several("steady", "ours", [0.98, 1.0, 0.98, 1.0], [0.01] * 4)
    ahead = several("greedy", "baseline", [1.0] * 4, [0.0] * 4)
    verdict = judge(CONTESTS["mooncake"], [ours, ahead])[1]
    # Mean 0.99; s = 0.011547, t(3) = 3.1824: 3.1824 * 0.011547 / 2.
    assert verdict.measured == pytest.approx(0.99)
    assert verdict.half == pytest.approx(0.018374, abs=1e-5)
    assert verdict.standing == "noise"
    assert verdict.what.endswith("(greedy)")
    # Who recomputes more is no rival, unless that is in doubt.
    taxed = several("greedy", "baseline", [1.0] * 4, [0.02] * 4)
    assert len(judge(CONTESTS["mooncake"], [ours, taxed])) == 1
    doubtful = several("greedy", "baseline", [1.0] * 4, [0.0, 0.04, 0.0, 0.04])
    assert len(judge(CONTESTS["mooncake"], [ours, doubtful])) == 2


def test_rows_are_compared_seed_by_seed() -> None:
    # By place in the row the ratios would be 1 and 1/2, for seeds 1 and 2 of one and 2 and 4 of
    # the other; the one seed that both have gives 2.
    ours = made("steady", "ours", 100.0, 200.0, seeds=(1, 2))
    other = made("greedy", "baseline", 100.0, 400.0, seeds=(2, 4))
    assert judge(CONTESTS["azure"], [ours, other])[0].measured == 2.0


def test_a_missed_bar_says_what_is_proved() -> None:
    # 15 in 16, see docs/theory.md, section 6.
    ours = msgspec.structs.replace(made("steady", "ours", 1.0), workload="bar-16-32")
    low = msgspec.structs.replace(ours.results[0], completions_per_iteration=0.93)
    verdict, _ = judge(CONTESTS["bar-16-32"], [msgspec.structs.replace(ours, results=(low,))])
    assert verdict.bound == pytest.approx(15 / 16, abs=1e-4)
    assert "nobody has more than 0.9375 without evictions" in sentence(verdict)
    reached, _ = judge(CONTESTS["bar-16-32"], [ours])
    assert "nobody" not in sentence(reached)


def test_open_loops_are_judged_against_greedy_and_bursts_by_recovery_too() -> None:
    greedy = made("greedy", "baseline", 1.0)
    slow = made("steady", "ours", 1.0, ttft_p99_s=1.1)
    assert standings("open-95", slow, greedy) == ["missed", "holds"]
    assert standings("burst", slow, greedy) == ["holds", "holds", "missed", "holds"]
    shaky = made("steady", "ours", 1.0, recovered=0.9, itl_p99_ms=1.2)
    assert standings("burst", shaky, greedy) == ["missed", "holds", "holds", "missed"]
    assert [verdict.what for verdict in judge(CONTESTS["burst"], [shaky, greedy])] == [
        "of x* after the burst",
        "recompute tax",
        "p99 TTFT over greedy's",
        "p99 ITL over greedy's",
    ]


def test_a_number_that_does_not_exist_leaves_its_bar_unjudged_and_says_why() -> None:
    greedy = made("greedy", "baseline", 1.0, 1.0)
    served = made("steady", "ours", 1.0, 1.0, recovered=None)
    first, *others = judge(CONTESTS["burst"], [served, greedy])
    assert (first.standing, first.measured) == ("unjudged", None)
    assert [verdict.standing for verdict in others] == ["holds"] * 3
    assert sentence(first) == (
        "of x* after the burst (at least 0.970; the queue was empty before three maximal service "
        "times had passed)"
    )
    # Where one of two seeds has it, that one is judged, and the other is named.
    one, two = served.results
    some = (one, msgspec.structs.replace(two, recovered=0.98))
    first, *_ = judge(CONTESTS["burst"], [msgspec.structs.replace(served, results=some), greedy])
    assert (first.standing, first.measured) == ("holds", 0.98)
    assert "1 of 2 seeds: the queue was empty" in sentence(first)
    stuck = made("steady", "ours", 1.0, recovered=None, outcome="livelocked")
    assert "the engine livelocked" in sentence(judge(CONTESTS["burst"], [stuck, greedy])[0])
    # Of greedy too.
    nobody = made("greedy", "baseline", 1.0, 1.0, ttft_p99_s=None)
    ttft, itl = judge(CONTESTS["open-95"], [served, nobody])
    assert (ttft.standing, itl.standing) == ("unjudged", "holds")
    assert "one of the two has no such number" in sentence(ttft)


def test_what_was_not_played_has_no_bar() -> None:
    greedy, unplayed = made("greedy", "baseline", 1.0), made("steady", "ours", 1.0)
    unplayed = msgspec.structs.replace(unplayed, results=(), seeds=())
    assert judge(CONTESTS["burst"], [unplayed, greedy]) == []
