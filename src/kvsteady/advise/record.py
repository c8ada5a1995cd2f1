"""What several analyses say: the traffic, and what to do."""

from __future__ import annotations

from kvsteady.saved import Record


class WorkloadSummary(Record, frozen=True):
    """The traffic that was analysed; lengths in tokens."""

    name: str
    classes: int
    random: bool
    mean_prompt: float
    mean_output: float
    longest_output: int
    largest_request: int
    requests: int | None
    arrivals_per_second: float | None
    notes: tuple[str, ...]


class Advice(Record, frozen=True):
    """One thing to do, or not to do, and why."""

    title: str
    text: str
