"""What `tune` found, as saved data: every output is a rendering of this.

The JSON form is versioned by ``schema_version``; docs/reference/tune.md describes it field by
field. Numbers that do not exist are null.
"""

from __future__ import annotations

from typing import Any, Literal

from kvsteady.advise.record import Advice, WorkloadSummary
from kvsteady.saved import Record, Saved, read_saved, schema_of

TUNING_SCHEMA_VERSION = 1


class Interval(Record, frozen=True):
    """A mean over seeds, and its 95% confidence interval by Student's t."""

    mean: float
    low: float
    high: float


class Effect(Record, frozen=True):
    """A number before and after a change, means over the same seeds.

    ``change`` is of their differences, seed by seed; all in ``unit``.
    """

    name: str
    unit: str
    before: float
    after: float
    change: Interval


class Measured(Record, frozen=True):
    """A change on some seeds, against the engine as it is on the same seeds.

    ``setting`` is what to set, as the engine spells it; ``gain`` is a share of the objective as it
    is, above 0 where the change is better, null where a run did not go on to its end.
    """

    setting: str
    family: str
    how: Literal["flags", "policy"]
    outcome: Literal["ran", "livelocked", "stalled"]
    gain: Interval | None
    effects: tuple[Effect, ...]

    def effect(self, name: str) -> Effect | None:
        """The effect on a number; None where that does not exist."""
        return next((each for each in self.effects if each.name == name), None)


class Tried(Record, frozen=True):
    """A change on the one seed on which the values of each family were chosen."""

    setting: str
    family: str
    how: Literal["flags", "policy"]
    outcome: Literal["ran", "livelocked", "stalled"]
    gain: float | None
    recompute_tax: float


class TuningLoad(Record, frozen=True):
    """How requests come; ``rate`` in requests per second, ``of_capacity`` over what the engine
    serves without evictions. Both are null where the queue never empties.
    """

    kind: Literal["saturated", "open", "replayed"]
    rate: float | None
    of_capacity: float | None


class Objective(Record, frozen=True):
    """What is to be gained: a number of ``Effect``, and the least change of it that is worth a
    change, as a share of it and in its unit.
    """

    name: str
    title: str
    unit: str
    worth: float
    worth_absolute: float


class Seeds(Record, frozen=True):
    """``choosing`` chose the values of each family, ``comparing`` chose among the families, and
    ``confirming``, which chose nothing, measured the front runner.
    """

    choosing: tuple[int, ...]
    comparing: tuple[int, ...]
    confirming: tuple[int, ...]


class Tuning(Saved, frozen=True, kw_only=True):
    """The result of `tune`.

    ``front_runner`` is the change that ``outcome`` is about, on the confirming seeds, whether or
    not it is worth it; ``compared`` has the best of each family on the comparing seeds, ``tried``
    everything on the choosing seed.
    """

    schema_version: int = TUNING_SCHEMA_VERSION
    kvsteady_version: str
    outcome: str
    outcome_text: str
    engine: str
    eviction: Literal["restart", "resume", "swap"]
    options: str
    time: str
    workload: WorkloadSummary
    kv_tokens: int
    block_size: int
    max_tokens: int | None
    load: TuningLoad
    objective: Objective
    seeds: Seeds
    front_runner: Measured | None
    compared: tuple[Measured, ...]
    tried: tuple[Tried, ...]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]


def load_tuning(data: bytes, *, file: str | None = None) -> Tuning:
    """Read back the JSON of a `Tuning`.

    Raises
    ------
    InputError
        Not JSON, of another schema version, or a field missing or of the wrong type.
    """
    return read_saved(data, Tuning, version=TUNING_SCHEMA_VERSION, what="tuning", file=file)


def tuning_schema() -> dict[str, Any]:
    """The JSON Schema of a `Tuning`, alike on every Python."""
    return schema_of(Tuning)
