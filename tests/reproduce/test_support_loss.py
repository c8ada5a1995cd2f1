"""The way down, by a second method: the model of one class in fractions, written out here."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from kvsteady.model import Cohorts, System
from kvsteady.reproduce.claims import support_loss
from kvsteady.workload.law import Workload


def completions(prompt: int, capacity: int, state: list[Fraction], lives: int) -> list[list]:
    """What completes in each iteration of each life: oldest first as memory lasts, then new."""
    output, done = len(state), []
    for _ in range(lives * output):
        room, after = Fraction(capacity), [Fraction(0)] * output
        for age in range(output - 1, 0, -1):
            after[age] = min(state[age], room / (prompt + age + 1))
            room -= after[age] * (prompt + age + 1)
        after[0] = room / (prompt + 1)
        done.append(after[-1])
        state = [Fraction(0), *after[:-1]]
    return [done[life * output : (life + 1) * output] for life in range(lives)]


@pytest.mark.parametrize(("prompt", "output"), [(4, 6), (10, 5), (0, 7)])
def test_cohorts_are_lost_and_never_won_in_fractions(prompt: int, output: int) -> None:
    draw = random.Random(output)
    capacity, lives = 100 * (prompt + output), 40
    best = Fraction(2 * capacity, output * (2 * prompt + output + 1))
    start = [best * (1 + Fraction(draw.randint(-100, 100), 1000)) for _ in range(output)]
    exact = completions(prompt, capacity, start, lives)
    alive = [[mass > 0 for mass in life] for life in exact]
    for before, now in pairwise(alive):
        assert not any(new and not old for old, new in zip(before, now, strict=True))
    assert sum(alive[-1]) == 1

    # What the claim measures is this run, up to rounding.
    system = System(Workload.fixed(prompt, output), capacity)
    run = support_loss._run(system, Cohorts.of([float(mass) for mass in start]), lives)
    np.testing.assert_array_equal(run.alive, alive)
    np.testing.assert_allclose(run.done, np.array(exact, dtype=float), atol=1e-6 * float(best))
    assert run.born == 0
    assert run.distance(lives - 1) == pytest.approx(0, abs=1e-12)


def test_a_run_on_a_balanced_orbit_is_at_no_distance_and_bears_its_name() -> None:
    gaps, prompt, output = (3, 2, 1), 4, 6
    unit = Fraction(2 * 1000, output * (2 * prompt + output) + sum(gap * gap for gap in gaps))
    state, age = [Fraction(0)] * output, output - 1
    for gap in gaps:
        state[age] = unit * gap
        age -= gap
    exact = completions(prompt, 1000, state, 2)
    run = support_loss._run(
        System(Workload.fixed(prompt, output), 1000), Cohorts.of([float(m) for m in state]), 2
    )
    np.testing.assert_allclose(run.done, np.array(exact, dtype=float), atol=1e-9)
    assert run.gaps(0).tolist() == list(gaps)
    assert run.balanced(0) == pytest.approx(float(unit))
    assert run.distance(0) == pytest.approx(0, abs=1e-12)
    assert support_loss._name(np.array([1.0, 1.0, 2.0, 1.0])) == "1 (2 times), 2, 1"
