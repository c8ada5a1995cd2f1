"""Random numbers that are the same on every machine, drawn by counting.

NumPy promises its bit generators, not its distributions, and libraries round logarithms
differently. So draw number ``n`` of a stream is SplitMix64 at place ``n``, as in
`kvsteady.model.integer`, and what is made of it uses only operations that IEEE 754 rounds exactly.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

import numba
import numpy as np

from kvsteady.model.integer import next_class

# Streams of one seed, so that arrival times do not depend on lengths.
ARRIVALS, TURNS, THINKING, CLASSES = range(1, 5)

_LN2 = 0.6931471805599453
_LN2_HIGH = 0.693147180369123816490  # its first 32 bits: whole multiples of it are exact
_LN2_LOW = 1.90821492927058770002e-10
_SQRT_HALF = 0.7071067811865476


@numba.njit(cache=True)
def bits(seed, number):
    """64 random bits: place ``number`` of the SplitMix64 stream ``seed``."""
    z = np.uint64(seed) + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def stream(seed, name):
    """Seed of a stream that has nothing to do with the others of ``seed``."""
    return np.int64(bits(bits(seed, name), 0) >> np.uint64(2))


@numba.njit(cache=True)
def uniform(seed, number):
    """A number from 0 up to, not including, 1."""
    return np.float64(bits(seed, number) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def natural_log(x):
    """Logarithm of a positive number, to a few units in the last place."""
    part, power = math.frexp(x)
    if part < _SQRT_HALF:
        part *= 2.0
        power -= 1
    s = (part - 1.0) / (part + 1.0)
    z = s * s
    total = 0.0
    for k in range(12, -1, -1):
        total = total * z + 1.0 / (2 * k + 1)
    return 2.0 * s * total + power * _LN2


@numba.njit(cache=True)
def exponential(x):
    """E to the power of ``x`` ≤ 0, to a few units in the last place."""
    if x < -700.0:
        return 0.0
    power = math.floor(x / _LN2 + 0.5)
    rest = x - power * _LN2_HIGH - power * _LN2_LOW
    total = 1.0
    for k in range(16, 0, -1):
        total = 1.0 + total * rest / k
    return math.ldexp(total, int(power))


@numba.njit(cache=True)
def waiting_time(seed, number):
    """Draw from the exponential law of mean 1."""
    return -natural_log(1.0 - uniform(seed, number))


@numba.njit(cache=True)
def gamma(seed, number, shape):
    """Draw from the gamma law of mean 1 (Marsaglia and Tsang 2000), from a stream of its own."""
    own = np.int64(bits(seed, number) >> np.uint64(2))
    drawn = 0
    factor = 1.0
    d = shape - 1.0 / 3.0
    if shape < 1.0:  # gamma(shape) is gamma(shape + 1) times U^(1/shape)
        factor = exponential(natural_log(1.0 - uniform(own, drawn)) / shape)
        drawn += 1
        d += 1.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        a, b = 2.0 * uniform(own, drawn) - 1.0, 2.0 * uniform(own, drawn + 1) - 1.0
        u = 1.0 - uniform(own, drawn + 2)
        drawn += 3
        square = a * a + b * b
        if square >= 1.0 or square == 0.0:
            continue
        normal = a * math.sqrt(-2.0 * natural_log(square) / square)
        v = 1.0 + c * normal
        if v <= 0.0:
            continue
        v = v * v * v
        if natural_log(u) < 0.5 * normal * normal + d * (1.0 - v + natural_log(v)):
            return d * v * factor / shape


@numba.njit(cache=True)
def fill_waiting_times(seed, first, mean, out):
    """Fill ``out`` with exponential draws, from number ``first`` on."""
    for i in range(out.size):
        out[i] = mean * waiting_time(seed, first + i)


@numba.njit(cache=True)
def fill_gammas(seed, first, mean, shape, out):
    """Fill ``out`` with gamma draws, from number ``first`` on."""
    for i in range(out.size):
        out[i] = mean * gamma(seed, first + i, shape)


@numba.njit(cache=True)
def fill_classes(tickets, below, due, seed, random, first, out):
    """Fill ``out`` with the classes of requests ``first``, … of a queue, as the exact model."""
    for i in range(out.size):
        out[i] = next_class(tickets, below, due, seed, random, first + i)


@numba.njit(cache=True)
def fill_values(values, below, seed, out):
    """Fill ``out`` with draws of ``values`` whose probabilities sum up to ``below``."""
    for i in range(out.size):
        place = np.searchsorted(below, uniform(seed, i) * below[-1], side="right")
        out[i] = values[min(place, values.size - 1)]
