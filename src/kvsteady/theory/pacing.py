"""How much memory whole requests need when they are admitted in turn at an even pace."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.model import integer
from kvsteady.model.system import System

# Requests followed one by one; the order of the classes usually repeats long before.
_FOLLOWED = 50_000
_LIVES = 6
_HALVINGS = 16
_SLOWEST = 1e-4
_SPARE = 2e-3
_BACKWARD = 50
_DENOMINATOR = 1000
_ITERATIONS = 20_000


def largest_paced_rate(system: System, most: float) -> float:
    """Largest rate, at most ``most``, at which classes in turn never need more than memory.

    For one class the peak is known: when a request is about to complete, the j-th younger one is
    ``⌊j / rate⌋`` iterations behind. For several, the admissions of a token bucket are laid out
    from an empty start, in the order of the integer model, and the tokens (in whole blocks) that
    they hold are added up over time; 50,000 requests are followed, which covers the order of the
    classes whole where the shares are simple fractions. The rate is found by bisection; the peak
    of the one returned was seen to fit.
    """
    load, block = system.workload, system.block_size
    memory = system.kv_tokens // block * block
    curves = [_held_by_age(system, k) for k in range(len(load))]
    if most * load.mean_output > _FOLLOWED / 4:
        # So many run at once that three more of each class are a small matter. Prefixes of the
        # order were seen to be off a share by up to 1.11 requests (ten classes), windows by twice
        # that at most.
        left = memory - 3 * float(sum(curve[-1] for curve in curves))
        if left > 0:
            return left / float(load.memory_weights(block).sum())
    if len(load) == 1:

        def peak(rate: float) -> float:
            return _peak_of_one(rate, curves[0])

    else:
        order = class_order(load.tickets, _FOLLOWED)

        def peak(rate: float) -> float:
            return _peak_of_many(rate, order, curves, load.longest_output)

    if peak(most) <= memory:
        return most
    low, high = most / 2, most
    while peak(low) > memory:
        low, high = low / 2, low
        if low < most * _SLOWEST:  # not even one request of each class fits beside the others
            return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if peak(middle) <= memory else (low, middle)
    if len(load) == 1:
        return low
    # Later requests may meet in ways that those followed did not: stay a little below the edge.
    for steps in range(1, _BACKWARD):
        below = low * (1 - _SPARE) ** steps
        if peak(below) <= memory:
            return below
    # Small memories have rates that fit and whose neighbours do not: simple fractions, at which
    # requests keep meeting in the same way for ever.
    simple = float(Fraction(low).limit_denominator(_DENOMINATOR))
    return simple if simple <= low and peak(simple) <= memory else low


def _peak_of_one(rate: float, curve: FloatArray) -> float:
    """Most tokens that evenly paced requests of one class hold at once."""
    behind = np.floor(np.arange(math.ceil(rate * curve.size) + 1) / rate)
    return float(curve[curve.size - 1 - behind[behind < curve.size].astype(np.int64)].sum())


def class_order(tickets: IntArray, requests: int) -> IntArray:
    """Classes of the first requests of the queue, as the integer model orders them."""
    order: IntArray = integer.first_classes(tickets, np.cumsum(tickets), requests)
    return order


def _peak_of_many(rate: float, order: IntArray, curves: list[FloatArray], longest: int) -> float:
    """Most tokens that requests in turn hold at once, laid out one by one."""
    unit = max(1, round(rate * integer.UNIT))
    steps = max(_LIVES * longest, min(math.ceil(order.size / rate), _ITERATIONS))
    # Requests admitted until after each iteration, as the bucket lets them in.
    until = np.arange(1, steps + 1) * unit // integer.UNIT
    until = np.minimum(until, order.size)
    end = int(np.searchsorted(until, order.size)) if until[-1] == order.size else steps
    admitted_in = np.searchsorted(until, np.arange(until[-1]), side="right")
    memory = np.zeros(end)
    for kind, curve in enumerate(curves):
        mine = admitted_in[order[: until[-1]] == kind]
        per_step = np.bincount(mine, minlength=steps)[:end].astype(np.float64)
        size = 1 << int(end + curve.size).bit_length()
        spectrum = np.fft.rfft(per_step, size) * np.fft.rfft(curve, size)
        memory += np.fft.irfft(spectrum, size)[:end]
    return float(np.rint(memory).max())


def _held_by_age(system: System, kind: int) -> FloatArray:
    """Tokens, in whole blocks, that a request of a class holds at each age."""
    load, block = system.workload, system.block_size
    age = np.arange(load.output[kind])
    tokens: FloatArray = np.ceil((load.prompt[kind] + age + 1.0) / block) * block
    return tokens
