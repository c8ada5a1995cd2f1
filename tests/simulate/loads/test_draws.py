"""Random draws: known bits, exact arithmetic, the laws they should follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.simulate.loads import draws


def test_the_bits_are_splitmix64():
    # The first outputs of Vigna's splitmix64.c for the seed 1234567.
    known = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [int(draws.bits(1234567, n)) for n in range(5)] == known


@settings(deadline=None)
@given(st.floats(1e-300, 1e300))
def test_the_logarithm(x):
    # Against the C library's, whose error is below one unit in the last place.
    assert draws.natural_log(x) == pytest.approx(math.log(x), rel=1e-15, abs=3e-16)


@settings(deadline=None)
@given(st.floats(-699.0, 0.0))
def test_the_exponential(x):
    assert draws.exponential(x) == pytest.approx(math.exp(x), rel=1e-15)


def test_compiled_or_not_every_bit_is_the_same():
    # Python rounds each operation as IEEE 754 says; a compiler that fuses or reorders would not.
    for n in range(3000):
        x = draws.uniform(7, n) + 1e-9
        assert draws.natural_log(x) == draws.natural_log.py_func(x)
        assert draws.exponential(-30 * x) == draws.exponential.py_func(-30 * x)


def test_the_draws_are_what_they_were():
    # Recorded once: these must never change, or a seed would mean something else.
    times = [draws.waiting_time(3, n) for n in range(3)]
    gammas = [draws.gamma(3, n, shape) for n, shape in enumerate((0.25, 1.0, 9.0))]
    assert [x.hex() for x in times + gammas] == RECORDED


RECORDED = [
    "0x1.ed3b9222d1861p-4",
    "0x1.3477b64d182cfp+0",
    "0x1.e606158a4c4dcp-1",
    "0x1.83a72118c04a2p-1",
    "0x1.68cb2075df47ep-1",
    "0x1.5fe52613e7f1bp+0",
]


def test_a_waiting_time_is_the_logarithm_of_a_draw():
    for n in range(100):
        z = (3 + (n + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        u = ((z ^ z >> 31) >> 11) / 2**53
        assert draws.uniform(3, n) == u
        assert draws.waiting_time(3, n) == pytest.approx(-math.log(1 - u), rel=1e-14)


@pytest.mark.parametrize("cv", [0.3, 0.8, 1.0, 2.0, 4.0])
def test_gamma_has_its_moments(cv):
    # Mean 1, variance cv², third central moment 2 cv⁴ (in units of the mean).
    sample = np.empty(400_000)
    draws.fill_gammas(11, 0, 1.0, 1 / cv**2, sample)
    error = 6 * cv / math.sqrt(sample.size)
    assert sample.mean() == pytest.approx(1.0, abs=error)
    assert sample.std() == pytest.approx(cv, rel=0.05)
    third = ((sample - 1) ** 3).mean()
    assert third == pytest.approx(2 * cv**4, rel=0.25, abs=0.02)


def test_gamma_of_shape_one_is_exponential():
    # Kolmogorov-Smirnov: the largest distance of two laws' distribution functions.
    sample = np.empty(100_000)
    draws.fill_gammas(5, 0, 1.0, 1.0, sample)
    law = 1 - np.exp(-np.sort(sample))
    distance = np.abs(law - np.arange(sample.size) / sample.size).max()
    assert distance < 1.95 / math.sqrt(sample.size)  # exceeded once in a thousand


def test_waiting_times_are_exponential():
    sample = np.empty(100_000)
    draws.fill_waiting_times(5, 0, 2.0, sample)
    law = 1 - np.exp(-np.sort(sample) / 2.0)
    distance = np.abs(law - np.arange(sample.size) / sample.size).max()
    assert distance < 1.95 / math.sqrt(sample.size)


def test_streams_of_one_seed_have_nothing_in_common():
    names = (draws.ARRIVALS, draws.TURNS, draws.THINKING)
    samples = []
    for seed in (draws.stream(0, name) for name in names):
        samples.append([draws.uniform(seed, n) for n in range(2000)])
    correlation = np.corrcoef(samples) - np.eye(3)
    assert np.abs(correlation).max() < 0.1
