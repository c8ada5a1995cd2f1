"""What `compare_tiers` found, as saved data: every output is a rendering of this.

Versioned by ``schema_version``; numbers that do not exist are null.
"""

from __future__ import annotations

from typing import Literal

from kvsteady.advise.record import Advice
from kvsteady.saved import Record, Saved, read_saved

TIERS_SCHEMA_VERSION = 1


class TierGain(Record, frozen=True):
    """Greedy admission on the exact model, in unpaged memory.

    ``restart_fluid`` and ``restart_integer`` are output tokens generated for good over those of
    the design's own equilibrium, under `restart`: the fluid model from the worse of two starts
    (1% disturbance, empty), whole requests from empty. The same in requests completed over x*:
    ``restart_fluid_completions``, ``restart_integer_completions``; evictions favour short outputs,
    so it can be the larger. Under `resume`, whole requests from empty: ``recompute_tax``,
    recomputed over all prefilled tokens, and ``resume_completions`` over x*. ``settled`` is False
    where the fluid run was too short for the dominant mode to grow or die.
    """

    restart_fluid: float
    restart_fluid_completions: float
    restart_integer: float
    restart_integer_completions: float
    recompute_tax: float
    resume_completions: float
    settled: bool


class TierRow(Record, frozen=True):
    """One design.

    ``outputs`` and ``shares`` stand in the order of the given tiers; both are empty where lengths
    spread. ``verdict`` is a proof where ``proved``, else floating point; ``radius_low`` and
    ``radius_high`` likewise enclose ``radius``. ``tokens_gained`` compares output tokens
    per iteration under `restart`, fluid, with those of the given tiers.
    """

    name: str
    outputs: tuple[int, ...]
    shares: tuple[float, ...]
    gcd: int
    verdict: Literal["stable", "unstable", "marginal", "undecided"]
    proved: bool
    roots_outside: int | None
    radius: float
    radius_low: float
    radius_high: float
    doubling_iterations: float | None
    halving_iterations: float | None
    x_star: float
    gain: TierGain
    tokens_gained: float


class Cures(Record, frozen=True):
    """What would make the tiers stable, or do without; null where nothing was found.

    ``tolerance`` is the first of a ladder (1% to 50%) within which some tiers are stable, in the
    direction asked for; none up to ``tolerance_searched``. ``extra_prompt`` are the tokens that
    every prompt would have to be longer for the best tiers. ``spread`` is the narrowest range
    below each length, as a share of it, over which drawing max_tokens evenly is stable.
    ``rate_cap`` is the admission rate that never evicts the given tiers, at the price of
    ``rate_cap_given_up`` of decode capacity.
    """

    tolerance: float | None
    tolerance_searched: float
    extra_prompt: int | None
    spread: float | None
    rate_cap: float
    rate_cap_given_up: float


class SmallestRadius(Record, frozen=True, kw_only=True):
    """What is proved of the smallest spectral radius among the candidates (see `Smallest`).

    ``excluded`` of the ``compared`` other candidates are proved to have no smaller radius than
    ``radius_high``; that of the others may be smaller by the share ``gap``.
    """

    compared: int
    excluded: int
    radius_low: float
    radius_high: float
    gap: float


class TierReport(Saved, frozen=True, kw_only=True):
    """The result of `compare_tiers`.

    ``radius_floor`` is a bound that no candidate's radius is below, null where candidates were not
    laid out; ``certified`` says whether verdicts are proofs; ``smallest`` what is proved of the
    best choice being the best, null without proofs.
    """

    schema_version: int = TIERS_SCHEMA_VERSION
    kvsteady_version: str
    name: str
    kv_tokens: int
    prompts: tuple[int, ...]
    tolerance: float
    tolerance_unit: Literal["share", "tokens"]
    direction: Literal["down", "up", "both"]
    share_tolerance: float
    outcome: str
    outcome_text: str
    candidates: int
    evaluated: int
    exhaustive: bool
    radius_floor: float | None
    certified: bool
    smallest: SmallestRadius | None = None
    rows: tuple[TierRow, ...]
    cures: Cures
    advice: tuple[Advice, ...]


def load_tier_report(data: bytes, *, file: str | None = None) -> TierReport:
    """Read back the JSON of a `TierReport`.

    Raises
    ------
    InputError
        Not JSON, of another schema version, or a field missing or of the wrong type.
    """
    what = "comparison of tiers"
    return read_saved(data, TierReport, version=TIERS_SCHEMA_VERSION, what=what, file=file)
