"""Orbits in closed form: what makes one, and the pulse family of one class."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.model import System
from kvsteady.theory import balanced_orbit, pulse_cycle, pulse_family, worst_cycle
from kvsteady.workload import Workload


@pytest.mark.parametrize("gaps", [[], [1], [3], [0, 2], [-1, 3], [1.0, 1.0], [0.5, 1.5]])
def test_gaps_that_do_not_make_an_orbit_are_refused(gaps: list[float]) -> None:
    with pytest.raises(InputError):
        balanced_orbit(System(Workload.fixed(2, 2), 140), gaps)


@pytest.mark.parametrize("gap", [0, -1, 4, 12, 1.0, 1.5])
def test_gaps_that_do_not_divide_the_gcd_are_refused(gap: float) -> None:
    with pytest.raises(InputError):
        pulse_cycle(System(Workload.classes([(2, 6), (2, 12)]), 1400), gap)


def test_orbits_of_one_class_only() -> None:
    two = System(Workload.classes([(2, 6), (2, 12)]), 1400)
    with pytest.raises(InputError):
        worst_cycle(two)
    with pytest.raises(InputError):
        balanced_orbit(two, [12])


def test_the_pulse_family_of_one_class_ends_in_its_worst_cycle() -> None:
    system = System(Workload.fixed(7, 6), 1000)
    family = pulse_family(system)
    assert [orbit.period for orbit in family] == [1, 2, 3, 6]
    assert family[-1].throughput == pytest.approx(worst_cycle(system).throughput)
    for orbit, gaps in zip(family, ([1] * 6, [2] * 3, [3] * 2, [6]), strict=True):
        assert orbit.throughput == pytest.approx(balanced_orbit(system, gaps).throughput)
        np.testing.assert_allclose(
            orbit.start.amplitude, balanced_orbit(system, gaps).start.amplitude
        )
