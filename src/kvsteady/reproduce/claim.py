"""Where a claim plugs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kvsteady.progress import Progress
from kvsteady.reproduce.finding import Chart, Check, Outcome


@dataclass(frozen=True)
class Measured:
    """What measuring a claim gave.

    ``outcome`` is how the claim stands if every check holds; one that fails makes it
    `Outcome.NOT_REPRODUCED`. ``found`` is a sentence or two for the report.
    """

    found: str
    checks: tuple[Check, ...]
    charts: tuple[Chart, ...] = ()
    outcome: Outcome = Outcome.REPRODUCED

    @property
    def verdict(self) -> Outcome:
        """``outcome``, unless a check fails."""
        holds = all(check.holds for check in self.checks)
        return self.outcome if holds else Outcome.NOT_REPRODUCED


@dataclass(frozen=True)
class Claim:
    """Something that the paper, or we, say of the system, and how to measure it.

    To add one, write a file in `kvsteady.reproduce.claims` that ends in ``CLAIM = Claim(…)`` and
    name it in ``CLAIMS`` there. ``measure`` gets a `Progress` and returns `Measured`: numbers with
    the range in which each must lie, from a derivation other than the code that is measured.
    Leave it out for what cannot be tested here, and give the reason as ``why_not``.
    """

    key: str
    title: str
    source: str
    says: str
    measure: Callable[[Progress], Measured] | None = None
    why_not: str = field(default="")


def near(what: str, measured: float, expected: float, relative: float) -> Check:
    """Check that a number is within a relative distance of what is claimed."""
    slack = abs(expected) * relative
    return Check(what, float(measured), expected - slack, expected + slack, expected)


def exactly(what: str, measured: float, expected: float) -> Check:
    """Check a count."""
    return Check(what, float(measured), expected, expected, expected)


def at_most(what: str, measured: float, high: float) -> Check:
    """Check an upper bound."""
    return Check(what, float(measured), None, high)


def at_least(what: str, measured: float, low: float) -> Check:
    """Check a lower bound."""
    return Check(what, float(measured), low, None)


def noted(what: str, measured: float) -> Check:
    """Keep a number of which nothing was claimed."""
    return Check(what, float(measured), None, None)
