"""``kvsteady tiers``: better output lengths near the given ones, and what they gain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import OK, show, write_file
from kvsteady.cli.options import OUTPUT, TRAFFIC, Traffic
from kvsteady.errors import InputError, shown

_tolerance = Group("What may change", sort_key=1)

_TOLERANCE = "a share of the length as in 2% or 0.02, or whole tokens as in 8"


def tiers(
    *,
    classes: Annotated[tuple[str, ...], Parameter(name="--class", group=TRAFFIC)] = (),
    preset: Annotated[str | None, Parameter(group=TRAFFIC)] = None,
    kv_tokens: Annotated[int, Parameter(group=TRAFFIC)],
    tolerance: Annotated[str, Parameter(group=_tolerance, show_default=True)] = "2%",
    direction: Annotated[
        Literal["down", "up", "both"], Parameter(group=_tolerance, show_default=True)
    ] = "down",
    share_tolerance: Annotated[float, Parameter(group=_tolerance, show_default=True)] = 0.0,
    compare: Annotated[tuple[str, ...], Parameter(group=_tolerance)] = (),
    keep: Annotated[int, Parameter(group=OUTPUT, show_default=True)] = 3,
    floats: Annotated[bool, Parameter(group=OUTPUT)] = False,
    json: Annotated[bool, Parameter(group=OUTPUT)] = False,
    out: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    seed: Annotated[int, Parameter(group=OUTPUT, show_default=True)] = 0,
) -> int:
    """Find output lengths near the given tiers that evict less, and say if that is worth it.

    Exit codes: 0 done, whatever was found; 2 bad input.

    Parameters
    ----------
    classes
        PROMPT:OUTPUT[:SHARE] tokens, repeatable; shares sum to 1, equal if left out.
    preset
        A bundled workload of classes: fixed-batch or three-tiers.
    kv_tokens
        KV capacity in tokens, as the engine logs it at start-up.
    tolerance
        How far each output length may move: 2% or 0.02 of it, or so many tokens (8).
    direction
        down: shorter only, so that nothing exceeds what was asked for; up: longer only; both.
    share_tolerance
        How far a class's share may move, absolute: 0.05 takes 0.30 to 0.25 … 0.35.
    compare
        Further lengths to show, one per class by increasing output, as in 101,239,503; repeatable.
    keep
        How many of the best designs to show.
    floats
        Do not prove the verdicts, though kvsteady[certify] is installed.
    json
        Print the comparison as JSON instead of the table.
    out
        Write the JSON to this file too.
    seed
        Of the restarts of a local search and of the disturbance.
    """
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.advise.tiers import compare_tiers
    from kvsteady.model import System
    from kvsteady.progress import silent
    from kvsteady.report.tiers import render_tiers
    from kvsteady.theory.tiers import Direction

    if not classes and preset is None:
        raise InputError("no tiers given", allowed="--class, or a --preset of classes")
    if out is not None and not out.parent.is_dir():  # found out now, not after the search
        raise InputError("its folder does not exist", file=out)
    load = Traffic(classes=classes, preset=preset).workload(silent)
    with Bar("Searching", Console(stderr=True)) as bar:
        report = compare_tiers(
            System(load, kv_tokens),
            tolerance=parse_tolerance(tolerance),
            direction=Direction[direction.upper()],
            share_tolerance=share_tolerance,
            compare=[_parse_lengths(text) for text in compare],
            keep=keep,
            certified=not floats,
            seed=seed,
            progress=bar,
        )
    if out is not None:
        write_file(out, report.to_json() + b"\n")
    show(report, render_tiers, json=json)
    return OK


def parse_tolerance(text: str) -> float | int:
    """``2%`` and ``0.02`` are shares of a length, ``8`` is so many tokens."""
    plain = text.strip()
    try:
        if plain.endswith("%"):
            return float(plain[:-1]) / 100
        return int(plain) if plain.lstrip("+-").isdigit() else float(plain)
    except ValueError:
        raise InputError(
            f"{shown(text)} is not a tolerance", field="--tolerance", allowed=_TOLERANCE
        ) from None


def _parse_lengths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"{shown(text)} are no lengths", field="--compare", allowed="lengths as in 101,239,503"
        ) from None
