"""The common divisor of the outputs decides where prompts are very long, and only there."""

from __future__ import annotations

import cmath
import math

import numpy as np

from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, exactly, near
from kvsteady.reproduce.finding import Chart, Check, Outcome, Role, Series, Style
from kvsteady.theory.certify import certify
from kvsteady.workload.law import Workload

_PROMPT = 100_000
_TIERS = ((3, 5), (4, 7, 9), (5, 6, 7, 8), (4, 6), (6, 9), (10, 15), (8, 16, 24), (12, 18, 30))
_REAL = (  # tiers, prompt, roots outside (specification, section 5, for 262,144)
    ((127, 255, 509), 262_144, 6),
    ((127, 255, 509), 4_194_304, 0),
    ((101, 239, 503), 262_144, 0),
    ((121, 263, 499), 262_144, 0),
)

_SHOWN: tuple[tuple[int, Style, Role], ...] = ((64, "points", "cap"), (_PROMPT, "points", "greedy"))


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    total = len(_TIERS) + len(_REAL)
    for place, tiers in enumerate(_TIERS):
        load = _equal(tiers, _PROMPT)
        common = math.gcd(*tiers)
        name = "/".join(map(str, tiers))
        outside = certify(load).roots_outside
        checks.append(
            exactly(f"{name}, g = {common}: roots outside, proved", _count(outside), common - 1)
        )
        if common > 1:
            checks.append(_near_unity(name, load, common))
        progress(place + 1, total)
    for place, (tiers, prompt, said) in enumerate(_REAL):
        name = "/".join(map(str, tiers))
        outside = certify(_equal(tiers, prompt)).roots_outside
        checks.append(
            exactly(f"{name} at prompt {prompt:,}: roots outside, proved", _count(outside), said)
        )
        progress(len(_TIERS) + place + 1, total)
    return Measured(
        f"Proved by exact arithmetic: at prompts of {_PROMPT:,} tokens and outputs of up to 30, "
        "exactly g − 1 roots lie outside, each next to a g-th root of unity at |z| ≈ 1 + 1 / "
        "(l0 + L). At real lengths g = 1 is not enough: 127/255/509 still has 6 roots outside at "
        "a prompt of 262,144 tokens and is stable only beyond 2.5 million, while other coprime "
        "tiers are stable at 262,144.",
        tuple(checks),
        (_circle((8, 16, 24)), _circle((5, 6, 7, 8))),
        Outcome.WITH_CONDITIONS,
    )


def _equal(tiers: tuple[int, ...], prompt: int) -> Workload:
    return Workload.classes([(prompt, output) for output in tiers])


def _count(outside: int | None) -> float:
    return math.nan if outside is None else float(outside)


def _near_unity(name: str, load: Workload, common: int) -> Check:
    """Roots outside, as (|z| − 1) (l0 + L), which tends to 1; nan if one is not near unity."""
    reach = 1 / (_PROMPT + load.longest_output)
    roots = np.roots(load.memory_weights())
    outside = roots[np.abs(roots) > 1]
    # To first order z = ζ (1 + 1/(l0 + L)), ζ^g = 1: F = (l0 + L) A − z A' and A(ζ) = 0.
    away = np.abs(outside**common - (1 + reach) ** common).max()
    growth = float((np.abs(outside) - 1).max() / reach)
    return near(f"{name}: (|z| − 1) (l0 + L)", growth if away < reach else math.nan, 1.0, 0.01)


def _circle(tiers: tuple[int, ...]) -> Chart:
    """Roots of the upper half plane at a prompt of 64 tokens and at a long one."""
    series = []
    for prompt, style, role in _SHOWN:
        roots = np.roots(_equal(tiers, prompt).memory_weights())
        modes = sorted((z for z in roots.tolist() if z.imag >= 0), key=cmath.phase)
        angle = tuple(cmath.phase(z) / math.pi for z in modes)
        series.append(
            Series(f"prompt {prompt:,}", angle, tuple(abs(z) for z in modes), style, role)
        )
    series.append(Series("unit circle", (0.0, 1.0), (1.0, 1.0), "dashes", "muted"))
    name = "/".join(map(str, tiers))
    return Chart(
        f"{name}, g = {math.gcd(*tiers)}: roots around the unit circle",
        "angle of z over π",
        "|z|",
        tuple(series),
    )


CLAIM = Claim(
    key="gcd",
    title="The common divisor decides, at very long prompts",
    source="paper: Theorem 3",
    says="With a common, long prompt and g = gcd(l1_k): g = 1 is stable; g > 1 is unstable with at "
    "least g − 1 roots outside, near the g-th roots of unity, |z| ≈ 1 + 1/(l0 + L).",
    measure=_measure,
)
