"""How the evictions of greedy admission shrink with the prompt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import iterate
from kvsteady.theory.eviction_scaling import eviction_scaling
from kvsteady.workload import Workload
from reference.systems import fluid_starts, systems


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_iteration_evicts_more_than_memory_can_grow_by(data: st.DataObject) -> None:
    # Memory grows by a token per request; who is evicted has age 1 or more and frees l0 + 2.
    system = data.draw(systems())
    start = data.draw(fluid_starts(system))
    run = iterate(system, steps=100, start=start)
    bound = run.running[:-1] / (int(system.workload.prompt.min()) + 2)
    assert (run.evicted[1:] <= bound * (1 + 1e-9) + 1e-9).all()


PROMPTS = [400, 800, 1600, 3200]


@pytest.mark.parametrize("outputs", [(7, 8), (3, 7), (3, 5, 8)])
def test_evictions_of_coprime_outputs_are_of_order_one_over_the_prompt(
    outputs: tuple[int, ...],
) -> None:
    found = eviction_scaling(Workload.classes([(0, output) for output in outputs]), PROMPTS)
    assert found.exponent == pytest.approx(-1, abs=0.01)
    assert found.total_exponent == pytest.approx(-1, abs=0.02)
    assert (found.late == 0).all()  # all of these prompts are beyond the threshold
    assert (found.largest <= found.bound * (1 + 1e-9)).all()
    mean = sum(outputs) / len(outputs)
    np.testing.assert_allclose(found.bound * PROMPTS, mean, rtol=0.02)


def test_evictions_of_outputs_with_a_common_divisor_are_as_small_and_never_end() -> None:
    found = eviction_scaling(Workload.classes([(0, 6), (0, 9)]), PROMPTS)
    assert found.exponent == pytest.approx(-1, abs=0.01)
    assert (found.late > 0.9 * found.largest).all()
    # Two iterations of three evict, to the end of the 10,000.
    assert (found.total > 0.9 * found.largest * 10_000 * 2 / 3).all()


def test_scaling_needs_two_prompts_and_evictions() -> None:
    load = Workload.classes([(0, 3), (0, 7)])
    with pytest.raises(InputError, match="prompts"):
        eviction_scaling(load, [100, 100])
    with pytest.raises(InputError, match="steps"):
        eviction_scaling(load, [100, 200], steps=3)
    assert math.isnan(eviction_scaling(Workload.fixed(0, 1), [10, 20]).exponent)
