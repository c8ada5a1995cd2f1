"""Hold a Lyapunov certificate against the fluid model, and against the whole basin.

The eviction-free basin is a polyhedron: all d with ``rᵀ C^k d ≥ −1`` for every k, of which
finitely many matter, because what the certificate contains needs no further look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model.iterate import iterate
from kvsteady.model.state import Cohorts
from kvsteady.model.system import MAX_KV_TOKENS
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.lyapunov.certificate import LyapunovCertificate
from kvsteady.theory.lyapunov.shape import first_row
from kvsteady.workload.ranges import whole_number

_LIMIT = 1_000_000
_MOST_STEPS = 100_000
_WITHIN = 1 - 1e-9  # samples of the boundary stand this much inside it


@dataclass(frozen=True)
class BasinCheck:
    """What the fluid model did from states inside and outside the certified set.

    Attributes
    ----------
    samples
        States inside from which it was run.
    on_boundary
        How many of them lie on the boundary of the level set; the others are where the ray meets
        an empty cohort (or one of 2³¹ requests) first.
    evicted
        Runs with an eviction among them: 0, or the certificate is wrong.
    least_admission
        Smallest admission of any of those runs, in x*.
    larger
        Median ratio of how far one can go in a direction before an eviction follows, to how far
        is certified.
    beyond, beyond_evicted
        Runs started 1% beyond the true basin, and those of them with an eviction: all.
    steps
        Iterations per run.
    """

    samples: int
    on_boundary: int
    evicted: int
    least_admission: float
    larger: float
    beyond: int
    beyond_evicted: int
    steps: int

    @property
    def confirmed(self) -> bool:
        """No run from inside evicted, every one from beyond did."""
        return self.evicted == 0 and self.beyond_evicted == self.beyond


def validate(
    certificate: LyapunovCertificate,
    samples: int = 100,
    seed: int = 0,
    progress: Progress = silent,
) -> BasinCheck:
    """Run the fluid model from random states inside the certified set, and just outside the basin.

    Directions are the two points where the level set touches a next admission of 0, then in turn
    uniform in the metric of V and uniform in that of d.

    Raises
    ------
    InputError
        A certificate without a form.
    """
    samples = whole_number(samples, "samples", 1, 1_000_000)
    form = _form(certificate)
    rays = _directions(form, first_row(certificate.system.workload), samples, seed)
    certified = np.sqrt(certificate.level / np.einsum("ni,ij,nj->n", rays, form, rays))
    clear = clear_distance(certificate, rays)
    rate = equilibrium(certificate.system).admissions
    # States end where a cohort is gone, or holds more requests than any may.
    empty = 1 / np.maximum(-rays.min(axis=1), 1e-300)
    end = np.minimum(empty, (MAX_KV_TOKENS / rate - 1) / np.maximum(rays.max(axis=1), 1e-300))
    inside = np.minimum(certified, end)
    decay = -math.log(min(certificate.radius, 1 - 1e-9))
    steps = min(2 * len(form) + math.ceil(12 / decay), _MOST_STEPS)
    evicted, beyond, beyond_evicted, least = 0, 0, 0, math.inf
    for n, ray in enumerate(rays):
        start = certificate.start(np.maximum(ray * inside[n] * _WITHIN, -1.0))
        run = iterate(certificate.system, steps=steps, start=start)
        evicted += bool(run.evicted.any())
        least = min(least, float(run.admitted.min()))
        if clear[n] * 1.01 < end[n]:
            beyond += 1
            start = certificate.start(ray * clear[n] * 1.01)
            run = iterate(certificate.system, steps=steps, start=start)
            beyond_evicted += bool(run.evicted.any())
        progress(n + 1, samples)
    return BasinCheck(
        samples,
        int((certified <= end).sum()),
        evicted,
        least / rate,
        float(np.median(clear / certified)),
        beyond,
        beyond_evicted,
        steps,
    )


def clear_distance(certificate: LyapunovCertificate, rays: FloatArray) -> FloatArray:
    """How far one can go along each ray, shape ``(n, L − 1)``, before an eviction follows, in
    lengths of the ray; infinite where none ever does. Where a million iterations do not settle it,
    a distance that is surely clear.
    """
    form = _form(certificate)
    row = first_row(certificate.system.workload)
    rays = np.atleast_2d(np.asarray(rays, dtype=np.float64))
    n = row.size
    history = np.concatenate([rays[:, ::-1], np.zeros((len(rays), n))], axis=1)
    backwards = row[::-1]
    deepest = np.zeros(len(rays))
    for _ in range(_LIMIT // n):
        # No later deviation is deeper than this, wherever the state now stands in V.
        state = history[:, n - 1 :: -1]
        reach = np.sqrt(np.einsum("ni,ij,nj->n", state, form, state) / certificate.level)
        if (reach <= np.maximum(deepest, 1e-300)).all():
            break
        for place in range(n, 2 * n):
            history[:, place] = history[:, place - n : place] @ backwards
        deepest = np.maximum(deepest, -history[:, n:].min(axis=1))
        history[:, :n] = history[:, n:]
    else:
        deepest = np.maximum(deepest, reach)
    with np.errstate(divide="ignore"):
        distance: FloatArray = 1 / deepest
    return distance


def largest_clear_box(certificate: LyapunovCertificate) -> float:
    """Largest share by which all past admissions may differ from x*, each up or down, such that no
    eviction ever follows: ``1 / max_k ‖rᵀ C^k‖₁``, exact up to rounding.
    """
    form = _form(certificate)
    row = first_row(certificate.system.workload)
    reach = math.sqrt(float(np.abs(form).sum()) / certificate.level)
    functional, most = row, 0.0
    for _ in range(_LIMIT):
        most = max(most, float(np.abs(functional).sum()))
        if reach <= most:
            return 1 / most
        functional = functional[0] * row + np.append(functional[1:], 0.0)
        reach *= certificate.decay
    return 1 / max(most, reach)


def energy_along(certificate: LyapunovCertificate, start: Cohorts, steps: int) -> FloatArray:
    """``V`` before each of ``steps`` iterations of the fluid model, from any start, shape
    ``(steps,)``: falls by ``γ²`` per iteration or faster as long as nobody is evicted.
    """
    form = _form(certificate)
    run = iterate(certificate.system, steps=steps, start=start)
    past = certificate.deviation(start)[::-1]
    rate = equilibrium(certificate.system).admissions
    history = np.r_[past, run.admitted / rate - 1]
    windows = np.lib.stride_tricks.sliding_window_view(history, len(form))[:steps, ::-1]
    energy: FloatArray = np.einsum("ti,ti->t", windows @ form, windows)
    return energy


def _form(certificate: LyapunovCertificate) -> FloatArray:
    if not certificate.matrix.size or not certificate.level > 0:
        raise InputError(
            "it has no form", field="certificate", allowed="one of a stable equilibrium, L ≥ 2"
        )
    return certificate.matrix


def _directions(form: FloatArray, row: FloatArray, samples: int, seed: int) -> FloatArray:
    """Rays, shape ``(samples, n)``: towards a next admission of 0 from both sides, then random."""
    random = np.random.default_rng(seed)
    rays = random.normal(size=(samples, row.size))
    touching = np.linalg.solve(form, row)
    lower = np.linalg.cholesky(form)
    rays[::2] = np.linalg.solve(lower.T, rays[::2].T).T  # uniform in the metric of V
    for n, ray in enumerate((-touching, touching)[:samples]):
        rays[n] = ray
    unit: FloatArray = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit
