"""Every root of the survival polynomial, each in a disc that certainly holds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError
from kvsteady.extras import import_extra
from kvsteady.theory.certify.certificate import certify_weights
from kvsteady.theory.certify.whole import weights_of
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number

MOST_ROOTS = 1024
_MOST_BITS = 4096  # a root closer to the circle than that is given up


@dataclass(frozen=True, eq=False)
class IsolatedRoots:
    """Roots of ``F(z) = Σ w_m z^(L−1−m)`` as discs, largest first.

    Attributes
    ----------
    midpoints
        Centres of the discs, complex, shape ``(n,)`` for n different roots.
    radii
        Their radii; in each disc lies its root, shape ``(n,)``.
    multiplicities
        How often each is a root, shape ``(n,)``.
    sides
        1 outside the unit circle, 0 on it, −1 inside, each proved; shape ``(n,)``.
    """

    midpoints: npt.NDArray[np.complex128]
    radii: FloatArray
    multiplicities: IntArray
    sides: IntArray

    @property
    def roots_outside(self) -> int:
        """Roots outside the unit circle, with multiplicity."""
        return int(self.multiplicities[self.sides > 0].sum())

    @property
    def roots_on_circle(self) -> int:
        """Roots on the unit circle, with multiplicity."""
        return int(self.multiplicities[self.sides == 0].sum())

    @property
    def roots_inside(self) -> int:
        """Roots inside the unit circle, with multiplicity."""
        return int(self.multiplicities[self.sides < 0].sum())


def isolate_roots(
    source: Workload | Sequence[int], *, block_size: int = 1, bits: int = 53
) -> IsolatedRoots:
    """Isolate every root, of a workload or of given whole weights (as for `certify_weights`).

    Degree 512 takes seconds, 1,024 half a minute. A root on the circle is told from one close to
    it by the exact count of those on it.

    Parameters
    ----------
    bits
        Precision to isolate with; the discs come back in double precision.

    Raises
    ------
    InputError
        More than 1,024 roots, weights or bits that cannot be used.
    MissingExtraError
        python-flint is not installed.
    """
    bits = whole_number(bits, "bits", 24, _MOST_BITS)
    weights = weights_of(source, block_size)
    if len(weights) - 1 > MOST_ROOTS:
        raise InputError(
            f"{len(weights) - 1:,} roots", field="weights", allowed=f"at most {MOST_ROOTS:,} roots"
        )
    flint = import_extra("flint", extra="certify")
    on_circle = None
    while True:
        with flint.ctx.workprec(bits):
            roots = flint.fmpz_poly(list(weights[::-1])).complex_roots()
            sides = [_side(root) for root, _ in roots]
        unclear = sum(times for (_, times), side in zip(roots, sides, strict=True) if not side)
        if unclear and on_circle is None:
            on_circle = certify_weights(weights).roots_on_circle
        # Those on the circle are never clear: once nothing else is unclear, all are placed.
        if not unclear or unclear == on_circle:
            break
        if bits >= _MOST_BITS:
            raise InputError(
                "roots too close to the unit circle to place",
                field="weights",
                allowed=f"roots that {_MOST_BITS:,} bits tell from the circle",
            )
        bits = min(2 * bits, _MOST_BITS)
    return _collected(flint, roots, sides)


def _side(root: Any) -> int:
    size = abs(root)
    return 1 if size > 1 else -1 if size < 1 else 0


def _collected(flint: Any, roots: Sequence[Any], sides: Sequence[int]) -> IsolatedRoots:
    """Discs in double precision that hold the balls, largest first."""
    midpoints = np.array([_nearest(root) for root, _ in roots], dtype=np.complex128)
    radii = [
        math.nextafter(float((root - flint.acb(middle.real, middle.imag)).abs_upper()), math.inf)
        for (root, _), middle in zip(roots, midpoints.tolist(), strict=True)
    ]
    if not np.isfinite(radii).all():
        raise InputError("roots beyond all doubles", field="weights", allowed="more alike weights")
    order = np.lexsort((np.angle(midpoints), -np.abs(midpoints)))
    midpoints = midpoints[order]
    midpoints.flags.writeable = False
    return IsolatedRoots(
        midpoints,
        frozen_floats(np.array(radii)[order]),
        frozen_ints(np.array([times for _, times in roots], dtype=np.int64)[order]),
        frozen_ints(np.array(sides, dtype=np.int64)[order]),
    )


def _nearest(root: Any) -> complex:
    return complex(float(root.real.mid()), float(root.imag.mid()))
