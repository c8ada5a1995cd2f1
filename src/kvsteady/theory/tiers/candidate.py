"""One choice of tiers, and what the equilibrium does under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsteady.errors import InputError, shown
from kvsteady.theory.spectrum import Spectrum, Stability, spectrum
from kvsteady.theory.tiers.local import Point
from kvsteady.theory.tiers.proof import Proof
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, whole_number


@dataclass(frozen=True, eq=False)
class Design:
    """Tiers, and what the equilibrium does under them.

    Attributes
    ----------
    name
        What to call it.
    outputs
        Output tokens of each tier, in the order of the given workload's classes.
    tickets
        Whole-number shares in the same order (a workload sorts its classes and merges equal ones).
    workload
        The tiers as a law of lengths, shares included.
    spectrum
        Its spectrum at the real prompt lengths, in floating point.
    proof
        The verdict and the radius in exact arithmetic; None where that was not asked for or
        ``kvsteady[certify]`` is not installed.
    """

    name: str
    outputs: tuple[int, ...]
    tickets: tuple[int, ...]
    workload: Workload
    spectrum: Spectrum
    proof: Proof | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each tier, in the order of ``outputs``."""
        return tuple(ticket / sum(self.tickets) for ticket in self.tickets)

    @property
    def radius(self) -> float:
        """Spectral radius: growth of the dominant mode per iteration."""
        return self.spectrum.radius

    @property
    def stable(self) -> bool:
        """Whether no root lies on or outside the unit circle: proved, else in floating point."""
        if self.proof is not None and self.proof.verdict != "undecided":
            return self.proof.verdict == "stable"
        return self.spectrum.outcome is Stability.STABLE


def as_given(workload: Workload) -> Design:
    """The tiers as they are."""
    law = spectrum(workload)
    return Design("given", outputs_of(workload), _tickets(workload), workload, law)


def with_outputs(workload: Workload, outputs: Sequence[int], name: str) -> Design:
    """The same prompts and shares with other output lengths, one per class.

    Raises
    ------
    InputError
        As many lengths as there are classes are needed, each 1 or more.
    """
    if len(outputs) != len(workload):
        raise InputError(
            f"{shown(list(outputs))} for {len(workload)} classes",
            field="compare",
            allowed="an output length for each class",
        )
    lengths = tuple(whole_number(length, "compare", 1, MAX_OUTPUT) for length in outputs)
    law = Workload.from_counts(workload.prompt, lengths, workload.tickets, name=_label(lengths))
    return Design(name, lengths, _tickets(workload), law, spectrum(law))


def of_point(rank: int, end: Point, given: Workload) -> Design:
    """The design at which a search ended, at the prompts of the given tiers."""
    outputs = tuple(end.output.tolist())
    law = Workload.from_counts(given.prompt, outputs, end.tickets, name=_label(outputs))
    return Design(f"best {rank}", outputs, tuple(end.tickets.tolist()), law, end.verdict)


def outputs_of(workload: Workload) -> tuple[int, ...]:
    """Output tokens by class."""
    return tuple(workload.output.tolist())


def _tickets(workload: Workload) -> tuple[int, ...]:
    return tuple(workload.tickets.tolist())


def _label(outputs: Sequence[int]) -> str:
    return " + ".join(str(length) for length in outputs)
