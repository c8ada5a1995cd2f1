"""Speculative decoding: how many tokens an iteration yields is a matter of chance.

A small model drafts k tokens, the large one accepts each with probability a until the first
rejection, and adds one of its own: 1 to k + 1 tokens, ``(1 − a^(k+1)) / (1 − a)`` on average
(Leviathan, Kalman, Matias 2023). Requests of equal length therefore complete in different
iterations, which damps cycles that fixed lengths otherwise always have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray, frozen_floats
from kvsteady.errors import InputError, shown
from kvsteady.theory.growth.law import Growth
from kvsteady.theory.spectrum import Monotone
from kvsteady.theory.winding import count_roots_outside
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, whole_number

_MAX_DRAFTS = 64
# Iterations that a request survives with less than this chance are left out: where nearly every
# draft is accepted, floats could not hold the rest.
_NEVER = 1e-250


@dataclass(frozen=True)
class SpeculationThreshold:
    """From which prompt on speculation damps the cycles of requests of one fixed length.

    Attributes
    ----------
    prompt
        A prompt that is stable while one token less is not; None if there is none up to
        16,777,216, 0 if every prompt looked at is stable (always, if one iteration is all).
    estimate
        ``g μ³ / (2π² σ²)``: the mean–variance law in iterations, for completion times of mean μ
        and variance σ² and memory growing by g tokens per iteration (theory: section 5).
    mean_iterations, variance_iterations
        μ and σ².
    tokens
        g.
    """

    prompt: int | None
    estimate: float
    mean_iterations: float
    variance_iterations: float
    tokens: float


def speculative_growth(
    workload: Workload, drafts: int, acceptance: float, *, reserve_drafts: bool = True
) -> Growth:
    """Growth under speculative decoding with ``drafts`` tokens, each accepted with ``acceptance``.

    With ``s_n`` tokens generated before iteration n, ``w_n = E[(L0 + s_n + 1 + k) 1{s_n < L1}]``:
    the iteration writes the KV of the last token and of all k drafts, so it needs that many slots
    whatever is accepted (vLLM's lookahead slots). Without ``reserve_drafts`` memory counts what is
    kept, ``w_n = E[(L0 + min(s_{n+1}, L1)) 1{s_n < L1}]``. Exact, by the law of ``s_n``.

    Parameters
    ----------
    drafts
        k, 0 to 64.
    acceptance
        a, 0 to 1, the same for every draft and independent.

    Raises
    ------
    InputError
        A number out of range.
    """
    k = whole_number(drafts, "drafts", 0, _MAX_DRAFTS)
    a = _probability(acceptance)
    prompt_left = workload.memory_weights() - (np.arange(workload.longest_output) + 1) * (
        workload.survival
    )
    survival, kept, written = _by_iteration(workload.survival, prompt_left, k, a)
    weights = written if reserve_drafts else kept
    finishing = np.flatnonzero(survival - np.append(survival[1:], 0.0)) + 1
    slots = f"{k} drafts, acceptance {a:g}" + ("" if reserve_drafts else ", drafts not reserved")
    return Growth(
        f"{workload.name}, {slots}",
        frozen_floats(weights),
        frozen_floats(survival),
        workload.mean_output / float(survival.sum()),
        Monotone.NEITHER if weights.size > 1 else Monotone.DECREASING,
        int(np.gcd.reduce(finishing)),
    )


def speculation_threshold(
    output: int, drafts: int, acceptance: float, *, reserve_drafts: bool = True
) -> SpeculationThreshold:
    """Prompt from which requests of one output length are stable under speculation (ours).

    Without speculation there is none (Theorem 2); nor with acceptance 0 or 1. In between a request
    of l tokens completes after about ``l/g`` iterations with variance ``l v / g³`` (v the variance
    of the tokens per iteration), so the threshold grows like ``g l² / (2π² v)``: with the square of
    the length, where mixing two neighbouring lengths asks for the cube (Proposition 4).
    """
    at_zero = speculative_growth(
        Workload.fixed(0, output), drafts, acceptance, reserve_drafts=reserve_drafts
    )
    mean, variance = at_zero.mean_iterations, at_zero.variance_iterations
    law = mean**3 / (2 * math.pi**2 * variance) if variance > 1e-12 else math.inf
    estimate = at_zero.tokens * law

    def stable(prompt: int) -> bool:
        weights = at_zero.weights + prompt * at_zero.survival
        return count_roots_outside(weights).outside == 0

    found: int | None = None
    if at_zero.weights.size == 1:
        found, estimate = 0, 0.0
    elif math.isfinite(estimate):
        found = _crossing(stable, max(1, round(min(estimate, MAX_PROMPT))))
    return SpeculationThreshold(found, estimate, mean, variance, at_zero.tokens)


def stabilising_acceptances(
    prompt: int, output: int, drafts: int, *, steps: int = 100, reserve_drafts: bool = True
) -> tuple[float, ...]:
    """Which of the acceptances ``1/steps, 2/steps, … < 1`` make one fixed length stable (ours).

    Chance is what stabilises, so neither hardly any nor nearly every acceptance will do.
    """
    steps = whole_number(steps, "steps", 2, 10_000)
    load = Workload.fixed(prompt, output)
    found = []
    for step in range(1, steps):
        growth = speculative_growth(load, drafts, step / steps, reserve_drafts=reserve_drafts)
        if count_roots_outside(growth.weights).outside == 0:
            found.append(step / steps)
    return tuple(found)


def _by_iteration(
    survival: FloatArray, prompt_left: FloatArray, drafts: int, acceptance: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``P(T > n)`` and the weights per iteration without and with reserved drafts.

    ``E[min(s + G, L1) 1{L1 > s}] = s S(s) + Σ_j P(G > j) S(s + j)`` for the tokens G of an
    iteration, ``P(G > j) = a^j`` for j up to k.
    """
    longest = survival.size
    tokens = np.arange(longest, dtype=np.float64)
    beyond = acceptance ** np.arange(drafts + 1)
    gained = beyond - np.append(beyond[1:], 0.0)  # P(G = 1 … k + 1)
    padded = np.append(survival, np.zeros(drafts))
    next_tokens = sum(chance * padded[j : j + longest] for j, chance in enumerate(beyond.tolist()))
    measures = np.stack(
        [
            survival,
            prompt_left + tokens * survival + next_tokens,
            prompt_left + (tokens + 1 + drafts) * survival,
        ]
    )
    law = np.zeros(longest)
    law[0] = 1.0
    rows: list[FloatArray] = []
    while True:
        row = measures @ law
        if not row[0] > _NEVER:
            break
        rows.append(row)
        law = np.convolve(law, gained)[: longest - 1]
        law = np.append(0.0, law)
    by_iteration = np.array(rows).T
    return by_iteration[0], by_iteration[1], by_iteration[2]


def _crossing(stable: Callable[[int], bool], guess: int) -> int | None:
    """A prompt that is stable while the one before is not, found from a guess outwards."""
    high = guess
    while not stable(high):
        if high == MAX_PROMPT:
            return None
        high = min(2 * high, MAX_PROMPT)
    low = high // 2
    while stable(low):
        if low == 0:
            return 0
        low //= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if stable(middle) else (middle, high)
    return high


def _probability(value: object) -> float:
    plain: object = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not 0 <= plain <= 1:
        raise InputError(f"{shown(plain)}", field="acceptance", allowed="0 to 1")
    return float(plain)
