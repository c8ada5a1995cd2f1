"""Pulse cycles of several classes with a common divisor."""

from __future__ import annotations

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model import System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, at_most, near
from kvsteady.reproduce.claims.duration import lives_to_settle
from kvsteady.reproduce.finding import ROLES, Chart, Check, Outcome, Role, Series
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.first_eviction import disturbed
from kvsteady.theory.orbits import floquet, lyapunov_exponent, pulse_cycle
from kvsteady.workload.law import Workload

# Classes, what the formula gives and what simulation gives (specification, section 5), over x*.
_COMMON = (([(20, 8), (20, 16)], 0.885870), ([(50, 4), (50, 6)], 0.990672))
_UNEQUAL = ([(10, 6, 0.3), (40, 9, 0.7)], 0.97436, 0.97305)


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    series: list[Series] = []
    for place, (classes, said) in enumerate(_COMMON):
        system = System(Workload.classes(classes), 100_000)
        balance = equilibrium(system).admissions
        name = system.workload.name
        checks.append(
            near(f"{name}: formula over x*", pulse_cycle(system).throughput / balance, said, 1e-6)
        )
        rates = _rates(system) / balance
        checks.append(near(f"{name}: simulated over x*", rates[-10:].mean(), said, 1e-5))
        series.append(_curve(name, rates, ROLES[place]))
        progress(place + 1, 3)
    system = System(Workload.classes(_UNEQUAL[0]), 100_000)
    balance = equilibrium(system).admissions
    formula = pulse_cycle(system).throughput / balance
    rates = _rates(system, 40_000) / balance
    ended = float(rates[-30_000:].mean())
    checks += [
        near("10:6 + 40:9: formula over x*", formula, _UNEQUAL[1], 1e-5),
        near("10:6 + 40:9: simulated over x*", ended, _UNEQUAL[2], 1e-4),
        # Weights E[(L0 + j) 1{L1 >= j}], j = 3, 6, 9, by hand: 34, 37, 34.3. The roots of
        # 34 z² + 37 z + 34.3 are a pair.
        near(
            "10:6 + 40:9: largest Floquet multiplier of the pulse cycle, √(34.3/34)",
            floquet(system, pulse_cycle(system)).radius,
            (34.3 / 34) ** 0.5,
            1e-9,
        ),
        at_most(
            "10:6 + 40:9: Lyapunov exponent of where it ends, per iteration",
            abs(lyapunov_exponent(system, steps=50_000, burn_in=20_000)),
            1e-3,
        ),
    ]
    series.append(_curve("10:6 + 40:9", rates[:3000], "balance"))
    progress(3, 3)
    return Measured(
        "With a common prompt the formula is where greedy admission ends. With unequal prompts it "
        "is an exact orbit too, but it can repel: its multipliers are the roots of a survival "
        "polynomial of pulses, E[(L0 + j) 1{L1 ≥ j}], j = g, 2g, …. Those of prompts 10 and 40 "
        "grow by √(34.3/34) per pulse until one would be negative; greedy admission then winds "
        "around a closed curve of states, without a period, at "
        f"{ended:.5f} x* (ours; numerical).",
        tuple(checks),
        (
            Chart(
                "Where greedy admission ends (restart)",
                "lives of the longest output",
                "completions over x*",
                tuple(series),
            ),
        ),
        Outcome.WITH_CONDITIONS,
    )


def _rates(system: System, least: int = 400) -> FloatArray:
    """Completions per iteration of each life, from a disturbed equilibrium to the end."""
    life = system.workload.longest_output
    lives = lives_to_settle(system, least=least)
    run = iterate(system, steps=lives * life, start=disturbed(system))
    rates: FloatArray = run.completed.reshape(lives, life).mean(axis=1)
    return rates


def _curve(name: str, rates: FloatArray, role: Role) -> Series:
    kept = np.linspace(0, rates.size - 1, min(rates.size, 300)).astype(int)
    return Series(
        name,
        tuple((kept + 1.0).tolist()),
        tuple(rates[kept].tolist()),
        "line",
        role,
    )


CLAIM = Claim(
    key="pulse-cycle",
    title="Pulse cycles where outputs have a common divisor",
    source="paper: Theorem 3",
    says="With g = gcd(l1_k) > 1 and a common prompt, greedy admission ends in cohorts g apart, "
    "with M / (g Σ E[(l0 + j) 1{L1 ≥ j}]), j = g, 2g, …, completions per iteration.",
    measure=_measure,
)
