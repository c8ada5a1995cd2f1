"""When greedy admission first evicts after a disturbance, from the spectrum and by simulation.

Until then the deviations ``e_t`` of admissions, relative to x*, obey ``Σ w_m e_{t−m} = 0`` exactly,
and the first eviction comes when that recurrence asks for fewer than no admissions: ``e_t < −1``.
With ``Q_t = −Σ_{m>t} w_m e_{t−m}`` of the start, the sum ``Σ e_t u^t`` is ``Q(u) / G(u)``,
``G(u) = Σ w_m u^m``, so the mode of a root z has amplitude ``C = −z Q(1/z) / G'(1/z)`` and reaches
x* after ``log(1 / |C|) / log |z|`` iterations (ours).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model.fluid import FIT
from kvsteady.model.iterate import iterate
from kvsteady.model.state import Cohorts
from kvsteady.model.system import Eviction, System
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.spectrum import Spectrum, spectrum
from kvsteady.theory.winding import ComplexArray
from kvsteady.workload.ranges import real_number, whole_number

_MOST_STEPS = 10_000_000
_LEAST_SIZE = 1e-15
_CHUNK = 1 << 14
_SOLVABLE = 1024  # largest degree whose roots are all computed, if more than 64 pairs grow


@dataclass(frozen=True)
class FirstEviction:
    """The first eviction after a disturbance; iterations count from 0, None is never (or not
    within the limit).

    Attributes
    ----------
    radius, period
        Growth per iteration and iterations per turn of the dominant mode.
    amplitude
        Amplitude of the dominant mode at the start, relative to x*.
    by_envelope
        When that amplitude alone, growing, reaches x*, ``log(1 / amplitude) / log radius``: a rule
        of thumb, early by a few periods where iterations miss the trough, and late where several
        modes grow about as fast; below 0 where it has reached x* at the start.
    by_modes
        First iteration in which the growing modes alone ask for negative admissions.
    by_recurrence
        The same for the linear recurrence itself: every mode, step by step.
    simulated
        First iteration of the fluid model that evicts.
    """

    radius: float
    period: float
    amplitude: float
    by_envelope: float | None
    by_modes: int | None
    by_recurrence: int | None
    simulated: int | None

    eviction = Eviction.RESTART  # none of it depends on what becomes of the evicted

    @property
    def predicted(self) -> int | None:
        """The spectrum's prediction, that of the growing modes, all of them up to outputs of
        1,024 tokens and the leading 64 pairs beyond.
        """
        return self.by_modes


def disturbed(system: System, size: float = 0.01, seed: int = 0) -> Cohorts:
    """The equilibrium with every cohort off by a normal draw of ``size`` times x*.

    Memory is not full: nobody has age 0 before an iteration.

    Raises
    ------
    InputError
        A size that is lost in rounding, below 1e-15, or so large that a cohort came out negative; a
        seed that is no whole number of 0 or more.
    """
    size = real_number(size, "size")
    if size < _LEAST_SIZE:
        raise InputError(
            f"{size:g} is lost in rounding", field="size", allowed=f"{_LEAST_SIZE:g} or more"
        )
    seed = whole_number(seed, "seed", 0, 2**62 - 1)
    noise = np.random.default_rng(seed).normal(size=system.workload.longest_output)
    amplitude = equilibrium(system).admissions * (1 + size * noise)
    amplitude[0] = 0.0
    if amplitude.min() < 0:
        raise InputError(f"{size:g} empties a cohort", field="size", allowed="a smaller size")
    return Cohorts.of(amplitude)


def first_eviction(
    system: System, start: Cohorts, *, limit: int = 100_000, progress: Progress = silent
) -> FirstEviction:
    """Predict and simulate the first eviction of greedy admission from a start (ours).

    Parameters
    ----------
    start
        Cohorts in the mix of the workload, such as `disturbed` gives.
    limit
        Iterations after which the recurrence and the simulation give up.

    Raises
    ------
    InputError
        A start of the wrong number of cohorts, or a limit out of range.
    """
    limit = whole_number(limit, "limit", 1, _MOST_STEPS)
    weights = system.workload.memory_weights()
    if start.amplitude.shape != weights.shape:
        raise InputError(
            f"{start.amplitude.size} cohorts", field="start", allowed=f"{weights.size}"
        )
    rate = equilibrium(system).admissions
    past = start.amplitude / rate - 1  # e_0 is not one yet: who has age 0 joins the admitted
    verdict = spectrum(system.workload)
    modes = _modes(weights, verdict)
    amplitude = _doubled(modes) * _amplitudes(weights, past, modes)
    growing = np.abs(modes) > 1
    dominant = float(abs(amplitude[0])) if modes.size else 0.0
    floor = start.amplitude[0] / rate - 1  # no cohort is smaller than who has age 0 already
    by_recurrence = _recurrence(weights, past, floor, limit, progress)
    return FirstEviction(
        verdict.radius,
        verdict.dominant_period,
        dominant,
        -math.log(dominant) / math.log(verdict.radius) if verdict.radius > 1 and dominant else None,
        _by_modes(modes[growing], amplitude[growing], limit),
        by_recurrence,
        _simulated(system, start, by_recurrence, limit, progress),
    )


def _modes(weights: FloatArray, verdict: Spectrum) -> ComplexArray:
    """The growing modes, one of each pair, largest first: all of them up to degree 1,024."""
    listed: ComplexArray = np.array(verdict.modes, dtype=np.complex128)
    known = int(_doubled(listed)[np.abs(listed) > 1].sum())
    if known == verdict.roots_outside or not 0 < verdict.degree <= _SOLVABLE:
        return listed
    roots = np.roots(weights).astype(np.complex128)
    roots = roots[roots.imag >= 0]
    slope = np.polyder(weights)
    for _ in range(2):
        roots = roots - np.polyval(weights, roots) / np.polyval(slope, roots)
    modes: ComplexArray = roots[np.argsort(-np.abs(roots), kind="stable")]
    return modes


def _doubled(modes: ComplexArray) -> FloatArray:
    """2 for a mode that stands for a conjugate pair, 1 for a real one."""
    weight: FloatArray = np.where(np.abs(modes.imag) > 1e-9 * np.abs(modes), 2.0, 1.0)
    return weight


def _amplitudes(weights: FloatArray, past: FloatArray, modes: ComplexArray) -> ComplexArray:
    """C of each root from the deviations ``past[m] = e_{−m}``, m ≥ 1."""
    forced = -np.array([weights[t + 1 :] @ past[1 : weights.size - t] for t in range(past.size)])
    u = 1 / modes
    slope = np.polynomial.polynomial.polyder(weights)
    value = np.polynomial.polynomial.polyval
    found: ComplexArray = -modes * value(u, forced) / value(u, slope)
    return found


def _by_modes(modes: ComplexArray, amplitude: ComplexArray, limit: int) -> int | None:
    """First t with ``Re Σ C z^t < −1``."""
    modes, amplitude = modes[amplitude != 0], amplitude[amplitude != 0]
    if not modes.size:
        return None
    log_z, log_c = np.log(modes), np.log(amplitude)

    def envelope(t: float) -> float:
        return float(np.exp(np.minimum(log_c.real + t * log_z.real, 700)).sum())

    low, high = 0, limit  # the moduli grow: nothing happens before their sum reaches 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if envelope(middle) >= 1 else (middle + 1, high)
    for first in range(low, limit, _CHUNK):
        t = np.arange(first, min(first + _CHUNK, limit))
        power = log_c[:, None] + np.outer(log_z, t)
        power.real = np.minimum(power.real, 700)
        below = np.flatnonzero(np.exp(power).real.sum(axis=0) < -1)
        if below.size:
            return first + int(below[0])
    return None


def _recurrence(
    weights: FloatArray, past: FloatArray, floor: float, limit: int, progress: Progress
) -> int | None:
    """First t with ``e_t < −1``, O(L) per step; ``floor`` stands for −1 at t = 0."""
    length = weights.size
    ratio = weights[:0:-1] / weights[0]
    slack = (FIT - 1) * float(weights.sum()) / float(weights[0])
    line = np.empty(length - 1 + _CHUNK)
    line[: length - 1] = past[:0:-1]  # oldest first
    for first in range(0, limit, _CHUNK):
        for t in range(min(_CHUNK, limit - first)):
            value = -float(ratio @ line[t : t + length - 1])
            if value < (-1 if first + t else floor) - slack:
                return first + t
            line[t + length - 1] = value
        line[: length - 1] = line[_CHUNK : _CHUNK + length - 1].copy()
        progress(first, limit)
    return None


def _simulated(
    system: System, start: Cohorts, expected: int | None, limit: int, progress: Progress
) -> int | None:
    """First iteration of the model that evicts, looked for beyond the one expected at first."""
    likely = limit if expected is None else min(limit, expected + 2)
    for steps in sorted({likely, limit}):
        evicted = iterate(system, steps=steps, start=start, progress=progress).evicted
        if evicted.any():
            return int(np.flatnonzero(evicted)[0])
    return None
