"""The smallest spectral radius among many tier designs, without computing every spectrum (ours).

A design is ruled out by one root that is larger than the best radius so far. Such roots are cheap
to come by: a root of one design is near one of the next, so the mode that dominates one is followed
by Newton's method through all the others; then the circle is scanned for each design that is left,
those with the smallest bounds first. Spectra are computed only of designs that survive both.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from kvsteady.progress import Progress, silent
from kvsteady.theory.spectrum import Spectrum, spectrum
from kvsteady.theory.tiers.sparse import Candidates, largest_found, root_sizes
from kvsteady.theory.winding import ComplexArray

_CHUNK = 1 << 15
_FIRST = 24  # modes of the first candidate that are followed from the start
_MOST_WAIT = 256
# A mode pays if it rules out one candidate in so many: scanning one costs about as much as
# following a mode through these.
_PAYS = 100


@dataclass(frozen=True, eq=False)
class Found:
    """What a search ended with.

    Attributes
    ----------
    best
        ``(index, spectrum)`` of the candidates with the smallest radii, smallest first.
    evaluated
        Spectra computed; every other candidate has a root that is larger.
    roots
        Of each candidate the root that rules it out, or its leading one, shape ``(n,)``; 0 where
        it has none.
    """

    best: tuple[tuple[int, Spectrum], ...]
    evaluated: int
    roots: ComplexArray


def smallest_radii(
    candidates: Candidates,
    keep: int = 1,
    *,
    below: float = np.inf,
    progress: Progress = silent,
) -> Found:
    """The ``keep`` candidates of smallest spectral radius, of those under ``below``.

    Radii are those of `spectrum`; whoever is left out has a root of at least the largest of them.
    """
    bound = np.zeros(len(candidates))
    roots = np.zeros(len(candidates), dtype=np.complex128)
    best: list[tuple[float, int, Spectrum]] = []  # a heap, the largest radius first
    limit, evaluated, wait, skipped = below, 0, 0, 0

    def follow(mode: complex) -> None:
        """Bound the candidates left by the root that this mode becomes in each of them."""
        nonlocal wait
        left = np.flatnonzero(bound < limit)
        for start in range(0, left.size, _CHUNK):
            part = left[start : start + _CHUNK]
            sizes, found = root_sizes(candidates, part, mode)
            roots[part] = np.where(sizes > bound[part], found, roots[part])
            bound[part] = np.maximum(bound[part], sizes)
        pays = _PAYS * np.count_nonzero(bound[left] >= limit) > left.size
        wait = 0 if pays else min(2 * wait + 1, _MOST_WAIT)

    while True:
        left = np.flatnonzero(bound < limit)
        progress(len(candidates) - left.size, len(candidates))
        if not left.size:
            ranked = sorted(best, key=lambda row: (-row[0], row[1]))
            return Found(tuple((index, verdict) for _, index, verdict in ranked), evaluated, roots)
        chosen = int(left[np.argmin(bound[left])])
        modes: tuple[complex, ...] = ()
        if limit < np.inf:
            bound[chosen], root = largest_found(candidates, chosen, limit)
            modes, roots[chosen] = (root,), root
        if bound[chosen] < limit:
            verdict = spectrum(candidates.workload(chosen))
            evaluated += 1
            bound[chosen] = np.inf
            roots[chosen] = verdict.modes[0] if verdict.modes else 0.0
            modes = verdict.modes[: 1 if evaluated > 1 else _FIRST]
            if verdict.radius < limit:
                heapq.heappush(best, (-verdict.radius, chosen, verdict))
                if len(best) > keep:
                    heapq.heappop(best)
                if len(best) == keep:
                    limit = min(below, -best[0][0])
        if skipped < wait:
            skipped += 1
            continue
        skipped = 0
        for mode in modes:
            follow(mode)
