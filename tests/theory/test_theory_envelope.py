"""The envelope of throughputs, against every composition and against the spec's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.model import System
from kvsteady.theory.envelope import Known, composition_counts, envelope, square_sums
from kvsteady.theory.orbits import balanced_orbit
from kvsteady.workload import Workload


def compositions(total: int) -> Iterator[list[int]]:
    if total == 0:
        yield []
    for first in range(1, total + 1):
        for rest in compositions(total - first):
            yield [first, *rest]


@pytest.mark.parametrize("l1", range(1, 13))
def test_levels_and_counts_are_those_of_all_compositions(l1: int) -> None:
    counted = Counter(sum(gap * gap for gap in gaps) for gaps in compositions(l1))
    system = System(Workload.fixed(5, l1), 1000)
    found = envelope(system)
    assert found.levels is not None
    assert square_sums(l1) == tuple(sorted(counted))
    assert found.compositions == tuple(counted[q] for q in sorted(counted))
    expected = [float(Fraction(2000, l1 * (10 + l1) + q)) for q in sorted(counted)]
    np.testing.assert_allclose(found.levels, expected, rtol=1e-14)
    every = [balanced_orbit(system, gaps).throughput for gaps in compositions(l1)]
    assert found.mean == pytest.approx(np.mean(every))
    assert (found.best, found.worst) == pytest.approx((max(every), min(every)))
    assert found.known is Known.COMPLETE


@pytest.mark.parametrize(("l0", "l1"), [(0, 1), (0, 512), (128, 512), (2, 4096), (10_000, 30)])
def test_the_worst_of_one_class_over_its_best(l0: int, l1: int) -> None:
    # Theory, section 4: (2 l0 + l1 + 1) / (2 (l0 + l1)), never below a half.
    found = envelope(System(Workload.fixed(l0, l1), 20_000))
    assert found.ratio == pytest.approx((2 * l0 + l1 + 1) / (2 * (l0 + l1)), rel=1e-12)
    assert found.ratio > 0.5
    assert (found.levels is None) == (l1 > 512)
    if found.levels is not None:
        assert (found.levels[0], found.levels[-1]) == pytest.approx((found.best, found.worst))
        assert (np.diff(found.levels) < 0).all()


def test_which_sums_of_squares_are_missing() -> None:
    # All have the parity of l1, and near l1² there are gaps: the largest part is l1 − j, so Q is
    # at most (l1 − 1)² + 1 below the worst cycle.
    sums = square_sums(200)
    assert (sums[0], sums[-1], sums[-2]) == (200, 40_000, 199**2 + 1)
    assert {q % 2 for q in sums} == {0}
    assert sum(composition_counts(40).values()) == 2**39


@pytest.mark.parametrize(
    ("classes", "value"),
    [
        ([(20, 8, 0.5), (20, 16, 0.5)], 0.885870),
        ([(50, 4, 0.5), (50, 6, 0.5)], 0.990672),
        ([(10, 6, 0.3), (40, 9, 0.7)], 0.97436),
    ],
)
def test_the_widest_pulse_of_several_classes(
    classes: list[tuple[int, int, float]], value: float
) -> None:
    # Theory, section 5: values of throughput / x*.
    found = envelope(System(Workload.classes(classes), 10_000))
    assert found.ratio == pytest.approx(value, abs=5e-6)
    assert found.known is Known.PULSES_ONLY
    assert found.levels is None
    assert np.isnan(found.mean)
    assert [pulse.throughput for pulse in found.pulses][-1] == found.worst


def test_limits_of_the_lists() -> None:
    for wrong in (0, 513):
        with pytest.raises(InputError):
            square_sums(wrong)
    with pytest.raises(InputError):
        composition_counts(97)
