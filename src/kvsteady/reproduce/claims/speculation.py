"""Other growth than one token an iteration."""

from __future__ import annotations

import math

from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, exactly, near
from kvsteady.reproduce.finding import ROLES, Chart, Check, Series
from kvsteady.theory.certify import certify
from kvsteady.theory.growth import (
    block_roots,
    growth_spectrum,
    speculation_threshold,
    speculative_growth,
    steady_growth,
)
from kvsteady.workload.law import Workload

_OUTPUTS = (32, 64, 128, 256)
_DRAFTS = ((4, 0.8), (8, 0.8))


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    series: list[Series] = []
    for place, (drafts, acceptance) in enumerate(_DRAFTS):
        least = []
        for output in _OUTPUTS:
            found = speculation_threshold(output, drafts, acceptance)
            least.append(math.nan if found.prompt is None else float(found.prompt))
        mean, variance = _tokens(drafts, acceptance)
        said = [mean * output**2 / (2 * math.pi**2 * variance) for output in _OUTPUTS]
        name = f"{drafts} drafts, acceptance {acceptance:g}"
        checks.append(
            near(
                f"{name}: least stable prompt of {_OUTPUTS[-1]} tokens over g l² / (2π² v)",
                least[-1] / said[-1],
                1.0,
                0.1,
            )
        )
        outputs = tuple(map(float, _OUTPUTS))
        series += [
            Series(name, outputs, tuple(least), "points", ROLES[place]),
            Series(f"g l² / (2π² v), {name}", outputs, tuple(said), "dashes", ROLES[place]),
        ]
        progress(place + 1, len(_DRAFTS) + 1)
    fixed = Workload.fixed(2048, 128)
    for tokens in (1, 2, 4):
        lives = 128 // tokens
        outside = growth_spectrum(steady_growth(fixed, tokens)).roots_outside
        checks.append(
            exactly(
                f"2048:128, {tokens} tokens per iteration: roots outside",
                math.nan if outside is None else outside,
                lives - 1,
            )
        )
    drafted = growth_spectrum(speculative_growth(fixed, 4, 0.8))
    checks.append(at_most("2048:128, 4 drafts, acceptance 0.8: radius", drafted.radius, 1.0))
    # Blocks of 16 are added at ages 16, 32, 48 and the output is 64: their divisor is 16, so every
    # root of z^16 = 1 but z = 1.
    blocks = certify(Workload.fixed(0, 64), block_size=16)
    on_circle = math.nan if blocks.roots_on_circle is None else blocks.roots_on_circle
    checks += [
        exactly("0:64 in blocks of 16: roots on the unit circle, proved", on_circle, 15),
        exactly("the same by formula", block_roots(0, 64, 16).on_circle, 15),
    ]
    progress(len(_DRAFTS) + 1, len(_DRAFTS) + 1)
    return Measured(
        "A whole number of tokens per iteration leaves one class unstable. Speculative decoding "
        "makes completion times random and stabilises one fixed length from prompts of about "
        "g l² / (2π² v) on, g and v the mean and variance of the tokens per iteration: l² instead "
        "of the l³ of neighbouring lengths. Blocks put roots exactly on the unit circle.",
        tuple(checks),
        (
            Chart(
                "Least prompt at which one length is stable under speculation",
                "output tokens",
                "prompt tokens",
                tuple(series),
                x_log=True,
                y_log=True,
            ),
        ),
    )


def _tokens(drafts: int, acceptance: float) -> tuple[float, float]:
    """Mean and variance of 1 + drafts accepted up to the first rejection."""
    chances = [acceptance**n * (1 - acceptance) for n in range(drafts)] + [acceptance**drafts]
    mean = sum((n + 1) * chance for n, chance in enumerate(chances))
    return mean, sum((n + 1 - mean) ** 2 * chance for n, chance in enumerate(chances))


CLAIM = Claim(
    key="growth",
    title="Speculative decoding and blocks",
    source="ours",
    says="What matters is the weight per iteration: random acceptance spreads completion times "
    "and can stabilise a single fixed length; blocks leave roots on the unit circle.",
    measure=_measure,
)
