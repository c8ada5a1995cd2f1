"""Theorem 2's local picture: every balanced orbit of one class, attracting or repelling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kvsteady.model.system import System
from kvsteady.theory.orbits.balanced import balanced_orbits
from kvsteady.theory.orbits.floquet import floquet
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, whole_number

_REQUESTS = 1000  # capacity scales the orbits and leaves their multipliers alone


@dataclass(frozen=True)
class LocalPicture:
    """What the multipliers of all balanced orbits of one class say.

    Attributes
    ----------
    prompt, output
        The class, in tokens.
    orbits
        Number of balanced orbits: compositions of the output up to rotation.
    repelling
        Orbits all of whose multipliers on occupied ages lie outside the unit circle.
    attracting
        Names of the orbits with every multiplier inside.
    weakest_multiplier
        Smallest modulus among the multipliers of the repelling orbits; infinite if there is none.
    slowest_escape
        Smallest growth per iteration among them.
    switching_margin
        Smallest room to a change of cuts, relative to M, over all orbits.
    """

    prompt: int
    output: int
    orbits: int
    repelling: int
    attracting: tuple[str, ...]
    weakest_multiplier: float
    slowest_escape: float
    switching_margin: float

    @property
    def exceptions(self) -> int:
        """Orbits that neither attract nor repel in every occupied direction."""
        return self.orbits - self.repelling - len(self.attracting)


def local_picture(prompt: int, output: int) -> LocalPicture:
    """Multipliers of every balanced orbit of one class; about ``2^l1 / l1`` of them (output 16 at
    most).
    """
    prompt = whole_number(prompt, "prompt", 0, MAX_PROMPT)
    output = whole_number(output, "output", 1, 16)
    system = System(Workload.fixed(prompt, output), _REQUESTS * (prompt + output))
    count, repelling, attracting = 0, 0, []
    weakest, slowest, room = math.inf, math.inf, math.inf
    for orbit in balanced_orbits(system):
        found = floquet(system, orbit)
        count += 1
        room = min(room, found.switching_margin)
        if found.stable:
            attracting.append(orbit.name)
        elif found.outside == found.values.size:
            repelling += 1
            weakest = min(weakest, float(abs(found.values[-1])))
            slowest = min(slowest, found.growth)
    return LocalPicture(prompt, output, count, repelling, tuple(attracting), weakest, slowest, room)
