"""What `Steady` learns of output lengths, and the equilibrium that follows."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.admission import COMPLETED, NO_LIMIT, Setup, ask, new_view
from kvsteady.policies import Steady
from kvsteady.policies.steady.state import CELLS, opened


def taught(ends, *, prompt=100, here=0, kv_tokens=100_000, apart=1000):
    """What a policy knows after completions of ``(output, limit)``, one per decision.

    Decisions are so many iterations ``apart`` that it saw each of them from the first token;
    ``here`` others run all the time, who are not shown.
    """
    view, state = new_view(4096), Steady().start(Setup(kv_tokens))
    facts = view.facts
    facts["block"], facts["blocks"], facts["unwritten"] = 1, kv_tokens, 1
    facts["waiting"] = NO_LIMIT
    facts["free"], facts["running"] = kv_tokens, here
    ask(state, view)
    for iteration, (output, limit) in enumerate(ends):
        facts["iteration"] = facts["ticks"] = apart * (iteration + 1)
        view.gone[0] = (COMPLETED, prompt, output, limit)
        facts["shown_gone"] = 1
        ask(state, view)
    return opened(state)


def hazard_product(ends, weights, up_to):
    """Product of 1 − completions / watched over ages, request by request, without any prior."""
    survival, found = 1.0, []
    for n in range(up_to + 1):
        if n:
            pairs = list(zip(ends, weights, strict=True))
            ended = sum(w for (o, m), w in pairs if o == n < m)
            # At a max_tokens of n nobody knows whether it would have ended there.
            watched = sum(w for (o, m), w in pairs if o > n or o == n < m)
            survival *= 1 - ended / watched if watched else 1.0
        found.append(survival)
    return np.array(found)


def test_it_learns_the_law_from_ends_and_cuts():
    rng = np.random.default_rng(4)
    ends = []
    for _ in range(1500):
        natural, limit = int(rng.geometric(1 / 60)), int(rng.choice([40, 80, 4000]))
        ends.append((min(natural, limit), limit))
    state = taught(ends, here=300)
    # With 300 running, what is known counts for 1 / e after 450 completions.
    weights = (1 + 1 / 450) ** np.arange(1, len(ends) + 1)
    expected = hazard_product(ends, weights, 150)
    # The prior weighs as two requests; at these ages there are tens.
    width = int(state.memo["width"])
    cells = state.law["survival"][: 150 // width + 1]
    assert cells == pytest.approx(expected[::width][: cells.size], abs=0.03)


@pytest.mark.parametrize("spread", [1, 9], ids=["two lengths", "eighteen"])
def test_those_who_run_long_do_not_make_outputs_look_long(spread):
    # Half of the outputs have 10 tokens, half 1,000, or up to 8 more in turn: of 404 who run at
    # equilibrium 400 are long, and the window of what is remembered is far shorter than their
    # lives. Each is at risk only for the tokens that were watched.
    view, state = new_view(4096), Steady().start(Setup(1_000_000))
    facts = view.facts
    facts["block"], facts["blocks"], facts["free"] = 1, 1_000_000, 500_000
    facts["unwritten"], facts["waiting"] = 1, NO_LIMIT
    for tick in range(4000):
        facts["iteration"] = facts["ticks"] = tick
        # One of each is admitted every fourth iteration, long ago too.
        rows, left = [], []
        for age in range(tick % 4, 1000 + spread, 4):
            for length in (10, 1000):
                output = length + (tick - age) // 4 % spread
                if age < output:
                    rows.append(age)
                elif age == output:
                    left.append(output)
        for i, generated in enumerate(rows):
            view.running[i] = (100, generated, NO_LIMIT, 0, 0, 0, 0)
        facts["running"] = facts["shown_running"] = len(rows)
        for i, output in enumerate(left):
            view.gone[i] = (COMPLETED, 100, output, NO_LIMIT)
        facts["shown_gone"] = len(left)
        ask(state, view)
    state = opened(state)
    assert state.memo["certain"] == (2 if spread == 1 else 0)
    # P(output > 10), by the lengths, and P(output > 20), by the cells.
    cell = 20 // int(state.memo["width"])
    long = state.law["remain"][1] if spread == 1 else state.law["survival"][cell]
    assert long == pytest.approx(0.5, abs=0.05)


def test_a_fixed_length_is_learned_whatever_max_tokens_says():
    state = taught([(50, 4096)] * 200)
    assert state.memo["certain"] == 1
    assert state.lengths[0]["tokens"] == 50
    assert float(state.memo["life"]) == pytest.approx(50, rel=0.03)


def test_where_max_tokens_always_cuts_it_is_believed():
    state = taught([(n, n) for n in (20, 40, 80)] * 100)
    assert state.law["survival"][80] > 0.97  # nobody was seen to end by itself
    assert float(state.memo["life"]) == pytest.approx(140 / 3, rel=0.03)


def test_long_outputs_widen_the_cells():
    state = taught([(9000, NO_LIMIT)] * 100, apart=10_000)
    assert state.memo["width"] * CELLS >= 9000
    assert float(state.memo["life"]) == pytest.approx(9000, rel=0.03)


def test_the_rate_is_that_of_the_equilibrium():
    # In its i-th iteration a request holds 100 + i tokens; the KV of the last is never written.
    state = taught([(50, 50)] * 300)
    assert float(state.memo["rate"]) == pytest.approx(100_000 / sum(range(100, 150)), rel=0.01)


def test_noise_is_of_lengths_that_max_tokens_does_not_tell():
    # Memory of n independent requests at age a: variance w_a² S(a) (1 − S(a)) each, ages even.
    state = taught([(int(n), 4000) for n in np.random.default_rng(0).geometric(1 / 50, 2000)])
    ages = np.arange(4000.0)
    alive = (1 - 1 / 50) ** ages
    weights = 100 + ages
    rate = 100_000 / (weights * alive).sum()

    def deviation(late, early):
        lives, ends = np.maximum(alive - late, 0), np.maximum(1 - alive - early, 0)
        return np.sqrt(rate * (weights**2 * lives * ends).sum())

    # Of S 2% and of 1 − S 5% count as doubt, so that it is rather too small.
    noise = float(state.memo["noise"])
    assert noise == pytest.approx(deviation(0.02, 0.05), rel=0.1)
    assert 0.7 * deviation(0, 0) < noise < deviation(0, 0)
    expected = noise
    told = taught([(n, n) for n in (20, 40, 80)] * 100)
    assert float(told.memo["noise"]) < 0.1 * expected


def test_drift_is_followed():
    # Outputs double in the middle; limits say nothing of either.
    state = taught([(50, 4096)] * 1000 + [(100, 4096)] * 600)
    assert float(state.memo["life"]) == pytest.approx(100, rel=0.06)


@pytest.mark.parametrize(("kv_tokens", "admitted"), [(100_000, 4), (10_000, 2), (3_000, 1)])
def test_until_one_completes_four_come_in_unpaced_if_max_tokens_fit(kv_tokens, admitted):
    # Each may come to hold 100 + 4,096 tokens; where nobody runs one is admitted in any case.
    view, state = new_view(4096), Steady().start(Setup(kv_tokens))
    facts = view.facts
    facts["block"], facts["unwritten"] = 1, 1
    facts["blocks"] = facts["free"] = kv_tokens
    facts["waiting"], facts["shown_waiting"] = NO_LIMIT, 50
    view.waiting["prompt"][:50], view.waiting["limit"][:50] = 100, 4096
    assert ask(state, view) == admitted
