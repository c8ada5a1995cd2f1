"""Random lengths: verdict, margin, and evictions by chance."""

from __future__ import annotations

import math

from kvsteady.model import System
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_least, exactly, near, noted
from kvsteady.reproduce.finding import Chart, Check, Series
from kvsteady.theory.laws import LawRow, cap_table, law_systems, law_table
from kvsteady.workload.distributions import Lengths, independent
from kvsteady.workload.presets import preset

_CAPS = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


def _measure(progress: Progress) -> Measured:
    azure = [System(preset("azure-conv"), kv_tokens) for kv_tokens in (430_000, 100_000)]
    systems = (*law_systems(), *azure)
    rows = law_table(systems, runs=4, lives=10, progress=progress)
    small, large, mooncake = rows[-1], rows[-2], rows[-3]
    checks: list[Check] = [
        near("Azure: largest |z|", large.spectrum.radius, 0.99743, 1e-5),
        exactly("Azure: roots outside", _count(large), 0),
        near("Azure, M = 430,000: evictions per completion", large.evictions.mean, 0.036, 0.15),
        near("Azure, M = 100,000: evictions per completion", small.evictions.mean, 0.12, 0.15),
        exactly("fixed 200:512: roots outside", _count(rows[0]), 511),
        *(
            exactly(f"{row.system.workload.name}: roots outside", _count(row), 0)
            for row in rows[1:3]
        ),
        exactly("Mooncake: roots outside", _count(mooncake), 0),
        near("Mooncake: largest |z|", mooncake.spectrum.radius, 0.99807, 1e-5),
        *(number for row in rows[: len(law_systems())] for number in _numbers(row)),
        at_least("geometric, mean 200: margin 1 − radius", rows[1].margin, 0.0),
    ]
    lognormal = independent(Lengths.fixed(200), Lengths.lognormal(600, 1.0, 32_768))
    caps = cap_table(lognormal, _CAPS)
    atoms = tuple(row.atom for row in caps)
    return Measured(
        "Geometric outputs and the Azure and Mooncake conversations are stable, with and without a "
        "cap that falls where the weights fall; evictions there are chance. Fixed lengths are not. "
        "Evictions are those of the integer model under restart, with about 256 requests running.",
        tuple(checks),
        (
            Chart(
                "log-normal (600, 1), prompt 200: what max_tokens does",
                "share of requests cut at max_tokens",
                "spectral radius",
                (
                    Series("radius", atoms, tuple(row.radius for row in caps), "points"),
                    Series("unit circle", (min(atoms), max(atoms)), (1.0, 1.0), "dashes", "muted"),
                ),
            ),
        ),
    )


def _count(row: LawRow) -> float:
    outside = row.spectrum.roots_outside
    return math.nan if outside is None else float(outside)


def _numbers(row: LawRow) -> tuple[Check, ...]:
    name = f"{row.system.workload.name}: "
    return (
        noted(f"{name}margin, 1 − radius", row.margin),
        noted(f"{name}evictions per completion (± {row.evictions.error:.1g})", row.evictions.mean),
    )


CLAIM = Claim(
    key="random-lengths",
    title="Random lengths: often stable, with evictions by chance",
    source="ours; numbers of the specification, section 7",
    says="The Azure 2023 conversations have no root outside (largest |z| 0.99743); greedy "
    "admission still evicts by noise: 3.6% of completions at M = 430k, 12% at 100k.",
    measure=_measure,
)
