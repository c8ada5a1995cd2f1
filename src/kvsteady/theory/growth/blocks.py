"""Memory in blocks: a request grows by a whole block when its last one is full."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kvsteady.theory.growth.law import Growth, monotone_of, quotients, whole_tails
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT, whole_number


@dataclass(frozen=True)
class BlockRoots:
    """Roots of the survival polynomial of one class in blocks, exactly; none lies inside.

    Attributes
    ----------
    on_circle
        Roots on the unit circle, all the ``common``-th roots of unity but 1: deviations that
        neither grow nor die.
    outside
        The rest, which grow.
    common
        Greatest common divisor of the ages at which a block is added and of the output.
    """

    on_circle: int
    outside: int
    common: int


def block_growth(workload: Workload, block_size: int) -> Growth:
    """Tokens in whole blocks, ``w_m = E[⌈(L0 + m + 1) / B⌉ B 1{L1 > m}]``, one token per iteration.

    The weights stand still between two blocks: those of one class never fall, so no root lies
    inside the unit circle; `block_roots` counts those on it.
    """
    size = whole_number(block_size, "block_size", 1, MAX_PROMPT)
    tickets = workload.tickets.astype(object)
    age = np.arange(workload.longest_output)
    whole = np.zeros(age.size, dtype=object)
    residue = workload.prompt % size
    for r in np.unique(residue):
        rows = residue == r
        outputs = workload.output[rows]
        longest = int(outputs[-1])
        held = (-(-(r + age[:longest] + 1) // size) * size).astype(object)
        whole[:longest] += whole_tails(outputs, tickets[rows] * (workload.prompt[rows] - r))
        whole[:longest] += held * whole_tails(outputs, tickets[rows])
    return Growth(
        f"{workload.name}, blocks of {size}",
        quotients(whole, int(tickets.sum())),
        workload.survival,
        1.0,
        monotone_of(whole),
        workload.gcd,
    )


def block_roots(prompt: int, output: int, block_size: int) -> BlockRoots:
    """Where the roots of one class in blocks lie (ours, exact).

    With ``u = 1/z``, ``(1 − u) F = w_0 + B Σ_j u^(m_j) − w_{L−1} u^L``, where ``m_j`` are the ages
    at which a block is added. Its positive terms sum to ``w_{L−1}``, so on ``|u| = 1`` it vanishes
    only if every ``u^(m_j)`` and ``u^L`` is 1: u is a root of unity whose order divides all of
    them. Beyond ``|u| = 1`` it cannot vanish at all, for ``w_{L−1} |u|^L`` is larger than the rest.
    Only a request that never grows (prompt and output in one block) has all its roots on the
    circle: it is never evicted.
    """
    prompt = whole_number(prompt, "prompt", 0, MAX_PROMPT)
    output = whole_number(output, "output", 1, MAX_OUTPUT)
    size = whole_number(block_size, "block_size", 1, MAX_PROMPT)
    first = size - prompt % size  # the first age that needs one more block
    # The ages are first, first + B, …: two of them already have gcd(first, B) for their divisor.
    added = [age for age in (first, first + size) if age < output]
    common = math.gcd(output, *added)
    return BlockRoots(common - 1, output - common, common)
