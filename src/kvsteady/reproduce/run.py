"""Measure every claim, keep what is measured, go on where a run stopped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

from kvsteady import __version__
from kvsteady.errors import InputError, shown
from kvsteady.progress import Progress, silent
from kvsteady.reproduce.claim import Claim, Measured
from kvsteady.reproduce.claims import CLAIMS
from kvsteady.reproduce.finding import Finding, Outcome, Reproduction
from kvsteady.reproduce.store import Store

# Parts of one claim in the progress reported.
_PARTS = 1000


def reproduce(
    folder: str | PathLike[str] | None = None,
    *,
    only: Iterable[str] = (),
    claims: Sequence[Claim] = CLAIMS,
    progress: Progress = silent,
) -> Reproduction:
    """Measure the claims of the paper, and ours, and say how each stands.

    Parameters
    ----------
    folder
        Where findings are kept as they land; those that this version of the code has measured
        before are taken from there. None keeps nothing.
    only
        Keys of the claims to measure; all if empty.
    claims
        The claims to choose from.
    progress
        Called with thousandths of a claim done.

    Raises
    ------
    InputError
        A key that no claim has, or a folder that cannot be written.
    MissingExtraError
        Exact arithmetic (``kvsteady[certify]``) is not installed.
    """
    chosen = _choose(claims, tuple(only))
    store = Store(Path(folder)) if folder is not None else None
    findings = []
    for number, claim in enumerate(chosen):
        finding = store.get(claim.key) if store else None
        if finding is None:
            finding = _measure(claim, number, len(chosen), progress)
            if store:
                store.put(finding)
        findings.append(finding)
        progress((number + 1) * _PARTS, len(chosen) * _PARTS)
    return Reproduction(kvsteady_version=__version__, findings=tuple(findings))


def _choose(claims: Sequence[Claim], only: tuple[str, ...]) -> list[Claim]:
    known = [claim.key for claim in claims]
    for key in only:
        if key not in known:
            raise InputError(f"{shown(key)} is no claim", field="only", allowed=", ".join(known))
    return [claim for claim in claims if not only or claim.key in only]


def _measure(claim: Claim, number: int, claims: int, progress: Progress) -> Finding:
    def part(done: int, total: int | None) -> None:
        share = min(done / total, 1.0) if total else 0.0
        progress(number * _PARTS + int(share * _PARTS), claims * _PARTS)

    began = time.perf_counter()
    if claim.measure is None:
        measured = Measured(claim.why_not, (), (), Outcome.NOT_TESTABLE)
    else:
        measured = claim.measure(part)
    return Finding(
        key=claim.key,
        title=claim.title,
        source=claim.source,
        says=claim.says,
        outcome=measured.verdict,
        found=measured.found,
        command=f"kvsteady reproduce --only {claim.key}" if claim.measure else "",
        checks=measured.checks,
        charts=measured.charts,
        seconds=time.perf_counter() - began,
    )
