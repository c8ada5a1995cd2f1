"""Roots of the survival polynomial of a few classes, at a cost that does not grow with lengths.

With ``u = e^(−s)``, ``z = e^s`` and ``c = l0 + 1`` (ours)

    (1 − u)² G(u) = Σ_k p_k [c_k + (1 − c_k) u − u^l1_k (c_k + l1_k − (c_k + l1_k − 1) u)],

where ``G(u) = Σ_m w_m u^m``: a value and a Newton step cost O(K), whatever the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.theory.winding import ComplexArray
from kvsteady.workload.law import Workload

_NEWTON_STEPS = 7
_PER_ROOT = 4  # grid points per root where a circle is scanned
_REFINED = 24


@dataclass(frozen=True, eq=False)
class Candidates:
    """Tier designs over the same prompts.

    Attributes
    ----------
    prompt
        Prompt tokens of each tier, shape ``(K,)``.
    output
        Output tokens, shape ``(n, K)``.
    tickets
        Whole-number shares, shape ``(1, K)`` where all candidates have the same, or ``(n, K)``.
    """

    prompt: IntArray
    output: IntArray
    tickets: IntArray

    def __len__(self) -> int:
        return len(self.output)

    def tickets_of(self, index: int) -> IntArray:
        """Shares of one candidate, shape ``(K,)``."""
        found: IntArray = self.tickets[index if len(self.tickets) > 1 else 0]
        return found

    def workload(self, index: int) -> Workload:
        """One candidate as a law of lengths."""
        return Workload.from_counts(self.prompt, self.output[index], self.tickets_of(index))


def root_sizes(
    candidates: Candidates, which: IntArray, start: complex
) -> tuple[FloatArray, ComplexArray]:
    """A root of each candidate followed by Newton from ``start``: its modulus from below, and it.

    Where the last step in u is h a root lies within ``L |h|``, which is taken off. Shape ``(n,)``
    each; 0 where Newton did not settle.
    """
    tickets = candidates.tickets if len(candidates.tickets) == 1 else candidates.tickets[which]
    law = _Law(candidates.prompt, candidates.output[which], tickets)
    return law.settled(np.full(which.size, np.log(start)))


def largest_found(candidates: Candidates, index: int, limit: float) -> tuple[float, complex]:
    """Largest root of one candidate found outside ``|z| = limit``: modulus from below, and root.

    One Newton step from a grid round the circle proposes roots, the nearest are refined. (0, 0)
    where none was found, which is no proof that there is none.
    """
    law = _Law(
        candidates.prompt, candidates.output[index][None], candidates.tickets_of(index)[None]
    )
    longest = int(candidates.output[index].max())
    points = _PER_ROOT * longest
    circle = np.log(limit) + 1j * np.pi * (np.arange(points) + 0.5) / points
    step = law.newton(circle)
    length, ahead = np.nan_to_num(np.abs(step), nan=np.inf), circle + step
    beside = np.pad(length, 1, mode="edge")
    # A root is pointed at best from where the step to it is shortest.
    closest = (length <= beside[:-2]) & (length <= beside[2:]) & (ahead.real > circle.real)
    surest = ahead[closest][np.argsort(length[closest], kind="stable")][:_REFINED]
    if not surest.size:
        return 0.0, 0j
    sizes, roots = law.settled(surest)
    top = int(np.argmax(sizes))
    return float(sizes[top]), complex(roots[top])


class _Law:
    """One law, or as many as there are points: lengths and shares of shape ``(1 or n, K)``."""

    def __init__(self, prompt: IntArray, output: IntArray, tickets: IntArray) -> None:
        self._output = output.astype(np.float64)
        self._longest = self._output.max(axis=1)
        self._share = tickets / tickets.sum(axis=1, keepdims=True)
        first = prompt + 1.0
        self._constant = (self._share * first).sum(axis=1)
        self._last = first + self._output

    def newton(self, s: ComplexArray) -> ComplexArray:
        """The Newton step of log G in s at each point, shape ``(n,)``."""
        with np.errstate(all="ignore"):  # wherever a step lands, the next tells if it was good
            u = np.exp(-s)
            power = self._share * np.exp(-s[:, None] * self._output)
            full, less = power * self._last, power * (self._last - 1)
            linear = (1 - self._constant) * u
            value = self._constant + linear - full.sum(axis=1) + less.sum(axis=1) * u
            slope = linear - (full * self._output).sum(axis=1)
            slope = slope + (less * (self._output + 1)).sum(axis=1) * u
            step: ComplexArray = 1 / (slope / value + 2 * u / (1 - u))
        return step

    def settled(self, s: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """Newton from each point: a modulus that some root has or exceeds, 0 if it wandered; and
        where it ended.
        """
        step = np.zeros_like(s)
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON_STEPS):
                step = self.newton(s)
                s = s + step
            slack = self._longest * np.abs(step)
            root = np.exp(s)
            size = np.abs(root) / (1 + slack)
        settled = (slack < 1e-6) & np.isfinite(size)
        bounds: FloatArray = np.where(settled, size, 0.0)
        roots: ComplexArray = np.where(settled, root, 0.0)
        return bounds, roots
