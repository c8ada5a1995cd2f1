"""First evictions, predicted and simulated, against the reference model and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, System
from kvsteady.theory import equilibrium, spectrum
from kvsteady.theory.first_eviction import disturbed, first_eviction
from kvsteady.workload import Workload
from reference import fluid as reference
from reference.systems import systems

GRID = {
    "one class": [(20, 12)],
    "one class of two tokens": [(2, 2)],
    "no prompt": [(0, 40)],
    "long outputs, over 64 growing pairs": [(100, 200)],
    "coprime": [(30, 9), (30, 14)],
    "neighbours": [(100, 15), (100, 16)],
    "common divisor": [(30, 6), (30, 12)],
    "near-common divisor": [(256, 63), (256, 127)],
    "three classes": [(40, 3), (40, 8), (40, 11)],
    "unequal prompts": [(10, 6, 0.3), (40, 9, 0.7)],
}


def simulated_by_reference(system: System, start: Cohorts, steps: int) -> int | None:
    """First eviction of the model as three sentences, one dense state after another."""
    load = system.workload
    ages = np.arange(load.longest_output)
    alive = load.output[:, None] > ages
    x = load.share[:, None] * start.amplitude * alive
    for t in range(steps):
        row, x = reference.step(x, load.prompt, load.output, load.share, system.kv_tokens)
        if row.evicted > 0:
            return t
    return None


@pytest.mark.parametrize("name", GRID)
@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6, 1e-9])
def test_the_growing_modes_predict_the_first_eviction(name: str, size: float) -> None:
    system = System(Workload.classes(GRID[name]), 1_000_000)
    found = first_eviction(system, disturbed(system, size, seed=3))
    assert found.simulated is not None
    assert abs(found.by_recurrence - found.simulated) <= 1
    assert abs(found.predicted - found.simulated) <= 1


@settings(deadline=None, max_examples=60)
@given(systems(most=20), st.floats(1e-3, 0.2), st.integers(0, 99))
def test_the_simulated_one_is_the_references(system: System, size: float, seed: int) -> None:
    try:
        start = disturbed(system, size, seed)
    except InputError:
        return
    found = first_eviction(system, start, limit=80)
    assert found.simulated == simulated_by_reference(system, start, 80)
    if found.by_recurrence is not None and found.simulated is not None:
        assert abs(found.by_recurrence - found.simulated) <= 1


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-8])
def test_a_pure_mode_takes_the_logarithm_of_its_size(size: float) -> None:
    # Along the dominant mode the envelope ε ρ^t reaches x* at log(1 / ε) / log ρ, and the first
    # trough after that evicts: within a period, and the time an iteration may miss it by.
    load = Workload.classes([(256, 63), (256, 64)])
    system = System(load, 1_000_000)
    mode = spectrum(load).modes[0]
    amplitude = equilibrium(system).admissions * (
        1 + size * np.real(mode ** -np.arange(load.longest_output))
    )
    amplitude[0] = 0.0
    found = first_eviction(system, Cohorts.of(amplitude))
    assert found.amplitude == pytest.approx(size, rel=1e-6)
    assert found.by_envelope == pytest.approx(-math.log(size) / math.log(abs(mode)), rel=1e-9)
    assert -1 <= found.simulated - found.by_envelope <= found.period + 1


def test_the_amplitude_of_one_class_of_two_tokens_is_known() -> None:
    # w = (3, 4): e_0 = −(4/3) e_{−1} and so on; the one mode is all of it. e_t < −1 first at the
    # first even power of 4/3 above 1000 · 3/4.
    system = System(Workload.fixed(2, 2), 140_000)
    rate = 140_000 / 7
    found = first_eviction(system, Cohorts.of([0.0, rate * 1.001]))
    assert found.amplitude == pytest.approx(4 / 3 * 1e-3)
    assert found.radius == pytest.approx(4 / 3)
    expected = next(t for t in range(0, 99, 2) if (4 / 3) ** (t + 1) * 1e-3 > 1)
    assert found.simulated == found.by_modes == found.by_recurrence == expected


def test_nothing_is_evicted_where_disturbances_die_out() -> None:
    # Beyond the threshold of 742 tokens for outputs 15 and 16 (theory: section 5).
    system = System(Workload.classes([(800, 15), (800, 16)]), 1_000_000)
    found = first_eviction(system, disturbed(system, 1e-3), limit=20_000)
    assert found.radius < 1
    assert (found.predicted, found.by_envelope) == (None, None)
    assert (found.by_recurrence, found.simulated) == (None, None)


def test_an_overfull_start_evicts_at_once() -> None:
    system = System(Workload.classes([(800, 15), (800, 16)]), 1_000_000)
    full = equilibrium(system).admissions * np.full(16, 1.2)
    found = first_eviction(system, Cohorts.of(full), limit=10)
    assert (found.by_recurrence, found.simulated) == (0, 0)
    full[0] = 0.0  # nobody of age 0 yet: 1.2 times the tokens of the others still overflow
    found = first_eviction(system, Cohorts.of(full), limit=10)
    assert (found.by_recurrence, found.simulated) == (0, 0)


def test_without_a_disturbance_nothing_is_predicted() -> None:
    # w = (1, 2, 3, 4) and a memory of whole x*: e = 0 exactly, so no mode has an amplitude.
    system = System(Workload.fixed(0, 4), 1000)
    found = first_eviction(system, Cohorts.of([0.0, 100, 100, 100]), limit=3000)
    assert (found.amplitude, found.predicted, found.by_envelope) == (0, None, None)
    assert (found.by_recurrence, found.simulated) == (None, None)


def test_a_limit_ends_the_search() -> None:
    seen: list[int] = []
    system = System(Workload.classes([(256, 63), (256, 64)]), 1_000_000)
    found = first_eviction(
        system, disturbed(system, 1e-9), limit=50, progress=lambda done, _: seen.append(done)
    )
    assert (found.predicted, found.by_recurrence, found.simulated) == (None, None, None)
    assert found.by_envelope > 50
    assert seen


def test_impossible_starts_are_refused() -> None:
    system = System(Workload.fixed(2, 4), 1000)
    with pytest.raises(InputError, match="empties"):
        disturbed(system, 100.0)
    for size in (0.0, 1e-17):
        with pytest.raises(InputError, match="size"):
            disturbed(system, size)
    for seed in (-1, 1.5):
        with pytest.raises(InputError, match="seed"):
            disturbed(system, 0.01, seed)
    with pytest.raises(InputError, match="start"):
        first_eviction(system, Cohorts.of(np.ones(3)))
    with pytest.raises(InputError, match="limit"):
        first_eviction(system, disturbed(system, 0.01), limit=0)
