"""Certify an inner estimate of the eviction-free basin of the equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import FloatArray, frozen_floats
from kvsteady.errors import InputError
from kvsteady.model.state import Cohorts
from kvsteady.model.system import System
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.lyapunov.proof import decays, keeps_clear, positive_definite
from kvsteady.theory.lyapunov.shape import decaying_form, first_row
from kvsteady.theory.spectrum import Stability, spectrum

MAX_OUTPUT = 2048
# V may decay this much more slowly, in the logarithm, than deviations do in the long run: a form
# that must decay faster fits the basin worse.
_PATIENCE = 0.25
_SLACKS = (1e-9, 1e-7, 1e-5, 1e-3)


class Certificate(Enum):
    """What is known; the value says what to make of it."""

    PROVED = (
        "from any state inside the level set greedy admission never evicts and returns to the "
        "equilibrium: proved, rounding included"
    )
    UNPROVED = "a form was found, but rounding outweighs its margins: raise the prompt or cut L"
    UNSTABLE = "the equilibrium is unstable: no Lyapunov certificate exists; cap admissions instead"
    UNDECIDED = "a root lies too close to the unit circle to look for a certificate"


@dataclass(frozen=True, eq=False)
class LyapunovCertificate:
    """A level set of ``V(d) = dᵀ P d`` in which greedy admission of the fluid model never evicts.

    ``d`` holds the deviations of the last L − 1 admissions as shares of ``x*``, youngest first:
    the certificate does not depend on KV capacity.

    Attributes
    ----------
    system
        What it is about.
    outcome
        What is proved; under `Certificate.UNSTABLE` and `Certificate.UNDECIDED` there is no form
        and the other numbers are empty, 0 or NaN.
    matrix
        P, shape ``(L − 1, L − 1)``.
    level
        θ: inside ``V ≤ θ`` no admission is ever negative, hence nobody ever evicted.
    decay
        γ: ``V`` falls by ``γ²`` per iteration at least; aimed at, not proved, where UNPROVED.
    radius
        Spectral radius: what γ cannot be below.
    ball
        Largest Euclidean length of d that is certified in every direction.
    worst_direction
        The unit vector along which the level set reaches no further than ``ball``.
    box
        Certified where no admission of the past differs from x* by a larger share than this.
    """

    system: System
    outcome: Certificate
    matrix: FloatArray
    level: float
    decay: float
    radius: float
    ball: float
    worst_direction: FloatArray
    box: float

    @property
    def proved(self) -> bool:
        """Whether the level set is proved to be free of evictions."""
        return self.outcome is Certificate.PROVED

    @property
    def half_life(self) -> float:
        """Iterations in which deviations, measured by ``√V``, halve at least; NaN without P."""
        return math.log(2) / -math.log(self.decay) if 0 < self.decay < 1 else math.nan

    def deviation(self, start: Cohorts) -> FloatArray:
        """``d`` of a state before an iteration, shape ``(L − 1,)``."""
        longest = self.system.workload.longest_output
        if start.amplitude.shape != (longest,):
            raise InputError(
                f"{start.amplitude.size} cohorts", field="amplitude", allowed=f"{longest}"
            )
        deviation: FloatArray = start.amplitude[1:] / equilibrium(self.system).admissions - 1
        return deviation

    def start(self, deviation: FloatArray) -> Cohorts:
        """Return the state with these deviations, none of which may be under −1."""
        rate = equilibrium(self.system).admissions
        return Cohorts.of(np.r_[0.0, rate * (1 + np.asarray(deviation, dtype=np.float64))])

    def energy(self, start: Cohorts) -> float:
        """``V`` of a state before an iteration; NaN without P."""
        deviation = self.deviation(start)
        return float(deviation @ self.matrix @ deviation) if self.matrix.size else math.nan

    def contains(self, start: Cohorts) -> bool:
        """Whether a state before an iteration lies in the certified set: no request is evicted
        from there on. False where nothing is proved.

        What was admitted before the iteration at age 0 already counts as part of its admission.
        """
        deviation = self.deviation(start)
        if not self.proved:
            return False
        size = np.abs(deviation)
        reach = float(size @ np.abs(self.matrix) @ size) if size.size else 0.0
        rounding = 8 * (size.size + 2) * float(np.finfo(np.float64).eps) * reach
        energy = float(deviation @ self.matrix @ deviation) if size.size else 0.0
        held = float(start.amplitude @ self.system.workload.memory_weights())
        return energy + rounding <= self.level and held <= self.system.kv_tokens


def lyapunov(system: System, *, progress: Progress = silent) -> LyapunovCertificate:
    """Find and prove a quadratic Lyapunov certificate for greedy admission (ours).

    As long as no admission is negative the fluid model is linear in the past admissions: an
    eviction and a negative next admission ``x* (1 − Σ w_m d_m / w_0)`` are the same event. A level
    set that decays and holds no state with a negative next admission is therefore free of
    evictions for ever. Its shape comes from floating point (`shape`), the proof from `proof`.

    Raises
    ------
    InputError
        A longest output above 2,048: P is a full matrix.
    """
    load = system.workload
    if load.longest_output > MAX_OUTPUT:
        raise InputError(
            f"a longest output of {load.longest_output:,}",
            field="system",
            allowed=f"{MAX_OUTPUT:,} or less: P has its square of entries",
        )
    verdict = spectrum(load)
    if verdict.outcome is not Stability.STABLE:
        unstable = verdict.outcome is Stability.UNSTABLE
        return _without(
            system, Certificate.UNSTABLE if unstable else Certificate.UNDECIDED, verdict.radius
        )
    if load.longest_output == 1:
        return LyapunovCertificate(
            system, Certificate.PROVED, np.zeros((0, 0)), 1.0, 0.0, 0.0, math.inf, np.zeros(0), 1.0
        )
    row = first_row(load)
    # One root at 0 is possible in the limit only; a floor keeps C/γ bounded.
    # Close to the circle the enclosure of the radius may reach beyond it.
    edge = min(verdict.radius_high, (1 + verdict.radius) / 2)
    wanted = max(edge, 1e-3) ** _PATIENCE
    form = decaying_form(row, wanted, progress)
    decay = _proved_decay(row, form, wanted)
    level = _proved_level(row, form)
    proved = decay is not None and level is not None and positive_definite(form)
    size, frame = np.linalg.eigh(form)
    theta = level or 0.0
    return LyapunovCertificate(
        system,
        Certificate.PROVED if proved else Certificate.UNPROVED,
        frozen_floats(form),
        theta,
        wanted if decay is None else decay,
        verdict.radius,
        math.sqrt(theta / float(size[-1])),
        frozen_floats(frame[:, -1]),
        math.sqrt(theta / float(np.abs(form).sum())),
    )


def _proved_decay(row: FloatArray, form: FloatArray, wanted: float) -> float | None:
    """Smallest decay, from the one the form was made for up to 1, that is proved."""
    for slack in _SLACKS:
        decay = float(wanted ** (1 - slack))
        if decay < 1 and decays(row, form, decay):
            return decay
    return None


def _proved_level(row: FloatArray, form: FloatArray) -> float | None:
    """Largest level, up to a little, that is proved to keep the next admission from below 0."""
    largest = 1 / float(row @ np.linalg.solve(form, row))
    for slack in _SLACKS:
        if keeps_clear(row, form, largest * (1 - slack)):
            return largest * (1 - slack)
    return None


def _without(system: System, outcome: Certificate, radius: float) -> LyapunovCertificate:
    empty = np.zeros((0, 0))
    return LyapunovCertificate(system, outcome, empty, 0.0, math.nan, radius, 0.0, np.zeros(0), 0.0)
