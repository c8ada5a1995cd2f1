"""Is it worth adjusting the tiers? Designs side by side, and what each gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from kvsteady import __version__
from kvsteady.advise.record import Advice
from kvsteady.advise.tier_records import Cures, SmallestRadius, TierReport, TierRow
from kvsteady.advise.tier_runs import tier_gain
from kvsteady.model.system import System
from kvsteady.progress import Progress, silent
from kvsteady.theory.caps import rate_caps
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.spectrum import Stability, spectrum
from kvsteady.theory.tiers import (
    Design,
    Direction,
    Outcome,
    Smallest,
    TierDesign,
    design_tiers,
    prove,
    spread_tiers,
    stable_extra_prompt,
    stable_spread,
    stable_tolerance,
)

_FLOATS: Final[dict[Stability, Literal["stable", "unstable", "undecided"]]] = {
    Stability.STABLE: "stable",
    Stability.UNSTABLE: "unstable",
    Stability.UNDECIDED: "undecided",
}
_DIRECTIONS: Final[dict[Direction, Literal["down", "up", "both"]]] = {
    Direction.DOWN: "down",
    Direction.UP: "up",
    Direction.BOTH: "both",
}
# Loss under `restart` below which there is nothing to win.
_SMALL_LOSS = 0.01
# Share of the loss that a change of tiers must win back to be worth it.
_WORTH = 0.5


def compare_tiers(
    system: System,
    *,
    tolerance: float,
    direction: Direction = Direction.DOWN,
    share_tolerance: float = 0.0,
    compare: Sequence[Sequence[int]] = (),
    keep: int = 3,
    certified: bool = True,
    seed: int = 0,
    progress: Progress = silent,
) -> TierReport:
    """Find better tiers within a tolerance and say what they gain, under `restart` and `resume`.

    The search is `kvsteady.theory.tiers.design_tiers`, whose parameters these are; gains are those
    of greedy admission on the exact model, in unpaged memory.

    Raises
    ------
    InputError
        As `design_tiers`.
    """
    load = system.workload
    design = design_tiers(
        load,
        tolerance=tolerance,
        direction=direction,
        share_tolerance=share_tolerance,
        compare=compare,
        keep=keep,
        certified=certified,
        seed=seed,
        progress=progress,
    )
    designs = [*design.designs]
    caps = rate_caps(System(load, system.kv_tokens))
    cures = _cures(design, direction, caps.steady, caps.given_up, progress)
    if cures.spread:
        law = spread_tiers(load, cures.spread)
        name = f"spread over the top {cures.spread:.0%}"
        proof = prove(law) if design.certified else None
        designs.append(Design(name, (), (), law, spectrum(law), proof))
    rows: list[TierRow] = []
    for done, each in enumerate(designs):
        progress(done, len(designs))
        rows.append(_row(each, system.kv_tokens, seed, rows[0] if rows else None))
    return TierReport(
        kvsteady_version=__version__,
        name=load.name,
        kv_tokens=system.kv_tokens,
        prompts=tuple(load.prompt.tolist()),
        tolerance=tolerance,
        tolerance_unit="tokens" if isinstance(tolerance, int) else "share",
        direction=_DIRECTIONS[direction],
        share_tolerance=share_tolerance,
        outcome=design.outcome.name.lower().replace("_", "-"),
        outcome_text=design.outcome.value,
        candidates=design.candidates,
        evaluated=design.evaluated,
        exhaustive=design.exhaustive,
        radius_floor=None if math.isnan(design.radius_floor) else design.radius_floor,
        certified=design.certified,
        smallest=_smallest(design.smallest),
        rows=tuple(rows),
        cures=cures,
        advice=_advice(design, rows, cures),
    )


def _cures(
    design: TierDesign, direction: Direction, cap: float, given_up: float, progress: Progress
) -> Cures:
    """Searched only where the best tiers are not stable."""
    load = design.given.workload
    if design.outcome in (Outcome.GIVEN_STABLE, Outcome.STABLE):
        return Cures(None, 0.0, None, None, cap, given_up)
    wider = stable_tolerance(load, direction, progress=progress)
    extra = stable_extra_prompt(design.best[0].workload)
    return Cures(wider.tolerance, wider.searched, extra, stable_spread(load), cap, given_up)


def _row(design: Design, kv_tokens: int, seed: int, given: TierRow | None) -> TierRow:
    system = System(design.workload, kv_tokens)
    modes, proof = design.spectrum, design.proof
    gain = tier_gain(system, modes, seed=seed)
    balance = equilibrium(system)
    # All of them share memory; output tokens per iteration are requests running, less what is lost.
    tokens = balance.running * gain.restart_fluid
    before = tokens
    if given is not None:
        mean = sum(o * s for o, s in zip(given.outputs, given.shares, strict=True))
        before = given.x_star * mean * given.gain.restart_fluid
    return TierRow(
        name=design.name,
        outputs=design.outputs,
        shares=design.shares,
        gcd=modes.gcd,
        verdict=_FLOATS[modes.outcome] if proof is None else proof.verdict,
        proved=proof is not None and proof.verdict != "undecided",
        roots_outside=modes.roots_outside if proof is None else proof.roots_outside,
        radius=modes.radius,
        radius_low=modes.radius_low if proof is None else proof.radius_low,
        radius_high=modes.radius_high if proof is None else proof.radius_high,
        doubling_iterations=_finite(modes.doubling),
        halving_iterations=_finite(modes.halving),
        x_star=balance.admissions,
        gain=gain,
        tokens_gained=tokens / before - 1,
    )


def _smallest(found: Smallest | None) -> SmallestRadius | None:
    if found is None:
        return None
    return SmallestRadius(
        compared=found.compared,
        excluded=found.excluded,
        radius_low=found.radius_low,
        radius_high=found.radius_high,
        gap=found.gap,
    )


def _advice(design: TierDesign, rows: Sequence[TierRow], cures: Cures) -> tuple[Advice, ...]:
    given = rows[0]
    loss = 1 - given.gain.restart_fluid
    own = [row for row in rows if row.name.startswith("best")]
    best = max(own, key=lambda row: row.gain.restart_fluid)
    said = [_worth(design, loss, given, best)]
    if design.outcome in (Outcome.GIVEN_STABLE, Outcome.STABLE):
        # Stable tiers that lose were caught in a cycle on filling up: a cap leads out of it.
        caught = design.outcome is Outcome.GIVEN_STABLE and loss > _SMALL_LOSS
        return (*said, _cap(cures)) if caught else tuple(said)
    said.append(_needs(cures))
    spread = next((row for row in rows if not row.outputs), None)
    if spread is not None:
        said.append(
            Advice(
                "Spread the lengths instead",
                f"If max_tokens may vary, draw it evenly from the top {cures.spread:.0%} of each "
                f"tier: stable, {spread.gain.restart_fluid:.1%} of output tokens at x* under "
                f"restart (fluid), {spread.gain.recompute_tax:.0%} of prefill recomputed under "
                f"resume instead of {given.gain.recompute_tax:.0%}. Spreading damps every mode, "
                "moving tiers only some",
            )
        )
    return (*said, _cap(cures))


def _cap(cures: Cures) -> Advice:
    return Advice(
        "Or cap the rate of admission",
        f"At most {cures.rate_cap:.4g} admissions per iteration never evict these tiers, and "
        f"give up {cures.rate_cap_given_up:.1%} of decode capacity (see kvsteady check)",
    )


def _worth(design: TierDesign, loss: float, given: TierRow, best: TierRow) -> Advice:
    """Whether to adjust the tiers at all: by what the model gains, not by the radius."""
    lengths = ", ".join(map(str, best.outputs))
    won = best.gain.restart_fluid - given.gain.restart_fluid
    numbers = (
        f"{lengths}: {best.gain.restart_fluid:.1%} of output tokens at x* under restart (fluid) "
        f"instead of {given.gain.restart_fluid:.1%}, {best.gain.recompute_tax:.0%} of prefill "
        f"recomputed under resume instead of {given.gain.recompute_tax:.0%}"
    )
    if design.outcome is Outcome.GIVEN_STABLE and loss <= _SMALL_LOSS:
        return Advice("Leave the tiers as they are", "They are stable and lose next to nothing")
    if loss <= _SMALL_LOSS and not given.gain.settled:
        return Advice(
            "Not urgent",
            f"A disturbance takes {given.doubling_iterations or math.inf:,.0f} iterations to "
            "double: no cycle had formed when the run ended, and what it would lose is not known",
        )
    if loss < -_SMALL_LOSS:
        return Advice(
            "Long requests starve",
            f"Evictions favour short outputs: the cycle generates {-loss:.0%} more output tokens "
            "than the equilibrium, at the expense of the long ones; this loss is no measure of it",
        )
    if loss <= _SMALL_LOSS:
        return Advice("Not worth it", f"The cycle loses {loss:.1%} of output tokens under restart")
    if (best.outputs, best.shares) == (given.outputs, given.shares):
        return Advice(
            "Adjusting the tiers is not worth it",
            "Of the designs looked at, the tiers as given lose least",
        )
    if won >= _WORTH * loss:
        return Advice("Adjust the tiers", numbers)
    return Advice(
        "Adjusting the tiers is not worth it", f"The best within the tolerance, {numbers}"
    )


def _needs(cures: Cures) -> Advice:
    if cures.tolerance is not None:
        text = f"Tiers are stable from a tolerance of about {cures.tolerance:.1%}"
    else:
        text = f"No tiers are stable within {cures.tolerance_searched:.1%}"
    if cures.extra_prompt is not None:
        text += f"; the best of the table from prompts {cures.extra_prompt:,} tokens longer"
    return Advice("What stability would take", text)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
