"""What became of each claim, as saved data: the report is a rendering of this."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

from kvsteady.saved import Record, Saved, read_saved

SCHEMA_VERSION = 1
Role: TypeAlias = Literal["greedy", "cap", "balance", "muted", "ink"]
# Colours for curves side by side, in this order.
ROLES: Final[tuple[Role, ...]] = ("greedy", "cap", "balance", "muted")
Style: TypeAlias = Literal["line", "dashes", "points", "steps"]


class Outcome(Enum):
    """How a claim stands; the value is what the report prints."""

    REPRODUCED = "reproduced"
    WITH_CONDITIONS = "reproduced with conditions"
    NOT_REPRODUCED = "not reproduced"
    NOT_TESTABLE = "not testable here"


class Check(Record, frozen=True):
    """One measured number, and where it must lie for the claim to hold.

    ``expected`` is what the claim says, None where it only gives a range. Without any range the
    number is for the record.
    """

    what: str
    measured: float
    low: float | None
    high: float | None
    expected: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the number lies in its range; NaN lies in none."""
        above = self.low is None or self.measured >= self.low
        return above and (self.high is None or self.measured <= self.high)


class Series(Record, frozen=True):
    """One curve or set of points; ``role`` names its colour."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    style: Style = "line"
    role: Role = "greedy"


class Chart(Record, frozen=True):
    """One figure: titles say the quantity and its unit."""

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False


class Finding(Record, frozen=True, kw_only=True):
    """One claim: what it says, what was measured, and how it stands.

    ``source`` is "paper: …" with the theorem as the specification names it, or "ours"; ``command``
    measures it again.
    """

    key: str
    title: str
    source: str
    says: str
    outcome: Outcome
    found: str
    command: str
    checks: tuple[Check, ...]
    charts: tuple[Chart, ...]
    seconds: float


class Reproduction(Saved, frozen=True, kw_only=True):
    """Every claim, in the order of the theory; the result of `reproduce`."""

    schema_version: int = SCHEMA_VERSION
    kvsteady_version: str
    findings: tuple[Finding, ...]

    def count(self, outcome: Outcome) -> int:
        """How many claims stand so."""
        return sum(finding.outcome is outcome for finding in self.findings)


def load_reproduction(data: bytes, *, file: str | None = None) -> Reproduction:
    """Read back the JSON of a `Reproduction`; raises `InputError` on anything else."""
    return read_saved(data, Reproduction, version=SCHEMA_VERSION, what="reproduction", file=file)
