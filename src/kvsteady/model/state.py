"""Who is in memory before an iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError
from kvsteady.model.system import MAX_KV_TOKENS, System


@dataclass(frozen=True, eq=False)
class State:
    """Requests in memory before an iteration, ``mass[j]`` of class ``row[j]`` at ``age[j]``.

    ``row`` indexes the workload's classes, ``age`` is the number of generated tokens
    (0 ≤ age < output), entries stand oldest first. Whole requests in the integer model, any
    non-negative real in the fluid one.
    """

    row: IntArray
    age: IntArray
    mass: FloatArray

    @classmethod
    def dense(cls, mass: npt.ArrayLike) -> State:
        """From ``x[k, i]``, shape ``(K, L)`` (or ``(L,)`` for one class)."""
        table = np.atleast_2d(np.asarray(mass, dtype=np.float64))
        age, row = np.nonzero(table.T[::-1])
        age = table.shape[1] - 1 - age
        return cls(frozen_ints(row), frozen_ints(age), frozen_floats(table[row, age]))

    def table(self, system: System) -> FloatArray:
        """``x[k, i]``, shape ``(K, L)``."""
        table = np.zeros((len(system.workload), system.workload.longest_output))
        np.add.at(table, (self.row, self.age), self.mass)
        return table

    def kv_tokens(self, system: System) -> float:
        """Tokens that the coming iteration needs for them: ``Σ x (l0 + i + 1)``."""
        return float(self.mass @ (system.workload.prompt[self.row] + self.age + 1))

    def check(self, system: System, *, whole_requests: bool) -> None:
        """Raise `InputError` where an entry is impossible in this system."""
        workload = system.workload
        if self.row.size and not (self.row.min() >= 0 and self.row.max() < len(workload)):
            raise InputError("no such class", field="row", allowed=f"0 to {len(workload) - 1}")
        if ((self.age < 0) | (self.age >= workload.output[self.row])).any():
            raise InputError("an age is out of range", field="age", allowed="0 ≤ age < output")
        if not ((self.mass >= 0) & (self.mass <= MAX_KV_TOKENS)).all():  # NaN fails too
            raise InputError(
                "a mass is out of range", field="mass", allowed=f"0 to {MAX_KV_TOKENS:,} requests"
            )
        if whole_requests and (self.mass != np.rint(self.mass)).any():
            raise InputError("not a whole number of requests", field="mass")


@dataclass(frozen=True, eq=False)
class Cohorts:
    """A start in which every cohort has the workload's own mix of classes.

    ``amplitude[i]`` requests were admitted ``i`` iterations ago, shape ``(L,)``; of class k,
    ``amplitude[i] · share_k`` are still there while ``i < output_k``. Fluid model only.
    """

    amplitude: FloatArray

    @classmethod
    def of(cls, amplitude: npt.ArrayLike) -> Cohorts:
        """Check and keep a copy: finite, 0 or more."""
        kept = frozen_floats(amplitude)
        if not ((kept >= 0) & (kept <= MAX_KV_TOKENS)).all():  # NaN fails too
            raise InputError(
                "out of range", field="amplitude", allowed=f"0 to {MAX_KV_TOKENS:,} requests"
            )
        return cls(kept)
