"""What the proof of a Lyapunov certificate rests on, in exact fractions and in ball arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kvsteady.model import System
from kvsteady.theory.lyapunov import Certificate, lyapunov, prove_with_balls
from kvsteady.theory.lyapunov.proof import decays, keeps_clear, positive_definite
from kvsteady.workload import Workload
from reference.quadratic import carried, companion, fractions_of, is_positive_definite
from reference.stable import STABLE


@pytest.fixture(scope="module")
def certificates() -> dict[str, object]:
    return {name: lyapunov(System(load, 1_000_000)) for name, load in STABLE.items()}


def exact_weights(load: Workload) -> list[Fraction]:
    """``Σ tickets (l0 + m + 1) 1{l1 > m}``, written out."""
    rows = list(zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True))
    return [
        Fraction(sum(count * (l0 + m + 1) for l0, l1, count in rows if l1 > m))
        for m in range(load.longest_output)
    ]


@pytest.mark.parametrize("name", ["two short classes", "three coprime classes", "unequal prompts"])
def test_a_certificate_holds_in_exact_fractions(name: str, certificates: dict) -> None:
    certificate = certificates[name]
    assert certificate.outcome is Certificate.PROVED
    weights = exact_weights(STABLE[name])
    step = companion(weights)
    form = fractions_of(certificate.matrix)
    rate, level = Fraction(certificate.decay) ** 2, Fraction(certificate.level)
    after = carried(step, form)
    n = range(len(form))
    assert is_positive_definite(form)
    assert is_positive_definite([[rate * form[i][j] - after[i][j] for j in n] for i in n])
    # P − θ r rᵀ ≻ 0 keeps r d above −1 on the level set; not much beyond θ it no longer does.
    push = step[0]

    def clear(theta: Fraction) -> bool:
        return is_positive_definite(
            [[form[i][j] - theta * push[i] * push[j] for j in n] for i in n]
        )

    assert clear(level)
    assert not clear(level * Fraction(1001, 1000))


@pytest.mark.parametrize("name", STABLE)
def test_ball_arithmetic_confirms_the_floating_point_proof(name: str, certificates: dict) -> None:
    pytest.importorskip("flint")
    c, load = certificates[name], STABLE[name]
    assert c.proved
    assert prove_with_balls(load, c.matrix, c.level, c.decay)
    assert not prove_with_balls(load, c.matrix, c.level * 1.001, c.decay)
    assert not prove_with_balls(load, c.matrix, c.level, c.radius * 0.999)
    assert not prove_with_balls(load, -c.matrix, c.level, c.decay)


@pytest.mark.parametrize("size", [2, 5, 30])
def test_the_cholesky_proof_refuses_what_is_not_positive_definite(size: int) -> None:
    random = np.random.default_rng(size)
    half = random.normal(size=(size, size))
    fine = half @ half.T + np.eye(size)
    assert positive_definite(fine)
    assert is_positive_definite(fractions_of((fine + fine.T) / 2))
    # Rank one less, up to rounding: by fractions it may be either, no float can prove it.
    narrow = half[:, 1:] @ half[:, 1:].T
    assert not positive_definite(narrow)
    assert not positive_definite(fine, np.full((size, size), float(np.trace(fine))))


def test_false_claims_of_decay_and_of_a_level_are_refused(certificates: dict) -> None:
    for name in ("two short classes", "uniform"):
        c = certificates[name]
        weights = STABLE[name].memory_weights()
        row = -weights[1:] / weights[0]
        assert decays(row, c.matrix, c.decay)
        assert not decays(row, c.matrix, c.radius * (1 - 1e-9))
        assert not decays(row, np.eye(row.size), c.decay)
        assert keeps_clear(row, c.matrix, c.level)
        assert not keeps_clear(row, c.matrix, c.level * (1 + 1e-4))
