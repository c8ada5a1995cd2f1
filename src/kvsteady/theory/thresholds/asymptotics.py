"""How the prompt needed for stability grows: laws for long outputs of a common prompt.

With ``P(θ) = E e^{iθ L1}`` a mode of angle θ sits on the unit circle if ``l0 + 1/2`` is the real
part of ``E[L1 e^{iθ L1}] / (1 − P)`` and the imaginary part is ``cot(θ/2) / 2``. Where ``1 − P`` is
small the second condition comes down to P being real: the requests of one cohort are back in phase
on average, and the prompt needed is about μ over the defect ``1 − P``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.theory.winding import ComplexArray
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number

_PER_TOKEN = 32  # grid points per token of the longest output
_HALVINGS = 48
_AT_ONCE = 1 << 21
_IN_PHASE = 1e-13  # a defect that is nothing but rounding


@dataclass(frozen=True)
class PromptMode:
    """A mode of oscillation and the prompt that damps it.

    Attributes
    ----------
    angle
        Turn per iteration, θ, between 0 and π.
    defect
        ``1 − E cos(θ L1)``: how far the outputs are from being multiples of the period ``2π / θ``.
    prompt
        ``E[L1 cos(θ L1)] / defect − 1/2``: about the common prompt from which on it decays;
        infinite if the defect is 0.
    """

    angle: float
    defect: float
    prompt: float

    @property
    def period(self) -> float:
        """Iterations per turn: about the (near-)common divisor d over a whole k."""
        return 2 * math.pi / self.angle


@dataclass(frozen=True)
class ThresholdLaw:
    """Laws for ``l0,min`` under a common prompt, in tokens.

    Attributes
    ----------
    mean, variance
        μ and σ² of the output length.
    leading
        ``μ³ / (2π² σ²)``, the mean–variance law; for outputs l − 1 and l it is Proposition 4's
        cubic law ``l³ / (2π² p (1 − p))``. Infinite for one output length.
    corrected
        ``leading − μ (1/2 − γ/6) − 1/2 − (5/3) κ₃/σ²`` with γ = κ₄/σ⁴ (ours): exact up to O(1/μ)
        for laws of a fixed width.
    modes
        In-phase angles and the prompt each needs (ours), the most demanding first.

    ``leading`` and ``corrected`` are about the mode of the mean output, ``θ ≈ 2π / μ``. They hold
    where that is the slowest: for one narrow hump of lengths, not for tiers.
    """

    mean: float
    variance: float
    leading: float
    corrected: float
    modes: tuple[PromptMode, ...]

    @property
    def prompt(self) -> float:
        """The prompt that the most demanding mode needs, 0 if none needs any."""
        return max((mode.prompt for mode in self.modes), default=0.0)


def asymptotic_threshold(workload: Workload, *, modes: int = 16) -> ThresholdLaw:
    """What the mean, the variance and the phases of the outputs say about ``l0,min`` (theory:
    section 5; prompts are taken as common, whatever they are).

    Parameters
    ----------
    modes
        How many modes to return at most, 1 to 4096.

    Raises
    ------
    InputError
        ``modes`` out of range.
    """
    most = whole_number(modes, "modes", 1, 4096)
    output, share, _ = workload.by_output
    mean = float(share @ output)
    offset = output - mean
    variance, third, fourth = (float(share @ offset**power) for power in (2, 3, 4))
    leading = corrected = math.inf
    if variance > 0:
        leading = mean**3 / (2 * math.pi**2 * variance)
        excess = fourth / variance**2 - 3
        corrected = leading - mean * (0.5 - excess / 6) - 0.5 - 5 / 3 * third / variance
    angles = _in_phase_angles(workload)
    turned = _moments(workload, angles)
    defect = 1 - turned[0].real
    with np.errstate(divide="ignore"):
        prompt = np.where(defect > _IN_PHASE, turned[1].real / defect - 0.5, np.inf)
    needed = [k for k in np.argsort(-prompt, kind="stable")[:most] if prompt[k] > 0]
    found = tuple(PromptMode(float(angles[k]), float(defect[k]), float(prompt[k])) for k in needed)
    return ThresholdLaw(mean, variance, leading, corrected, found)


def near_divisor_prompt(workload: Workload, divisor: int, harmonic: int = 1) -> float:
    """The common prompt that damps the mode near the angle ``2π k / d`` (ours).

    With r the residues of the outputs modulo d, taken symmetric about 0,

        ``μ d² / (2π² k² Var(r − L1 E[r] / μ))``:

    the variance of the phases that are left once the angle has moved to where they average to 0.
    Good where the residues are small beside d; infinite where d divides every output.

    Parameters
    ----------
    divisor
        d, 2 up to the longest output, of which the outputs are nearly multiples.
    harmonic
        k, from 1 to ``d // 2``.

    Raises
    ------
    InputError
        d or k out of range.
    """
    d = whole_number(divisor, "divisor", 2, max(2, workload.longest_output))
    k = whole_number(harmonic, "harmonic", 1, d // 2)
    output, share, _ = workload.by_output
    residue = (output + d // 2) % d - d // 2
    mean = float(share @ output)
    phase = residue - output * float(share @ residue) / mean
    spread = float(share @ phase**2)  # its mean is 0
    return mean * d**2 / (2 * math.pi**2 * k**2 * spread) if residue.any() else math.inf


def _in_phase_angles(workload: Workload) -> FloatArray:
    """Angles in (0, π] at which ``E e^{iθ L1}`` is real and positive."""
    output, share, _ = workload.by_output
    length = workload.longest_output
    size = 1 << (_PER_TOKEN * length).bit_length()
    mass = np.zeros(length + 1)
    mass[output] = share
    value = np.conj(np.fft.rfft(mass, size))
    low = np.flatnonzero((value.imag[1:-1] * value.imag[2:] < 0) & (value.real[1:-1] > 0)) + 1
    low = low[low < value.size - 2]
    grid = np.linspace(0, math.pi, value.size)
    left, right = grid[low], grid[low + 1]
    rising = value.imag[low + 1] > 0
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        beyond = (_moments(workload, middle)[0].imag > 0) == rising
        left, right = np.where(beyond, left, middle), np.where(beyond, middle, right)
    exact = grid[1:-1][value.imag[1:-1] == 0]
    exact = exact[_moments(workload, exact)[0].real > 0]
    last = [math.pi] if value[-1].real > 0 else []
    angles: FloatArray = np.r_[(left + right) / 2, exact, last]
    return angles


def _moments(workload: Workload, angles: FloatArray) -> ComplexArray:
    """``E e^{iθ L1}`` and ``E L1 e^{iθ L1}``, shape ``(2, n)``."""
    output, share, _ = workload.by_output
    weight: ComplexArray = np.stack([share, share * output]).astype(np.complex128)
    found: ComplexArray = np.empty((2, angles.size), dtype=np.complex128)
    stride = max(1, _AT_ONCE // output.size)
    for first in range(0, angles.size, stride):
        part = angles[first : first + stride]
        found[:, first : first + stride] = weight @ np.exp(1j * np.outer(output, part))
    return found
