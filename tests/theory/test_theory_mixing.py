"""Mixing replicas, against closed forms of cycles and the threshold of stability."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import System
from kvsteady.theory.mixing import mixed_workload, mixing
from kvsteady.theory.mixing_map import filled, mixing_map
from kvsteady.workload import Workload


def life(prompt: int, output: int) -> int:
    """Memory × iterations that one request takes: Σ_{i<l1} (l0 + i + 1)."""
    return sum(prompt + i + 1 for i in range(output))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 12), st.integers(100, 5000)),
        min_size=1,
        max_size=4,
    )
)
def test_the_mix_completes_as_much_of_each_class_as_the_replicas_do(
    rows: list[tuple[int, int, int]],
) -> None:
    systems = [System(Workload.fixed(p, o), m) for p, o, m in rows]
    mix = mixed_workload(systems)
    total = int(mix.tickets.sum())
    share = {
        (p, o): Fraction(t, total)
        for p, o, t in zip(
            mix.prompt.tolist(), mix.output.tolist(), mix.tickets.tolist(), strict=True
        )
    }
    mean_life = sum(part * life(*row) for row, part in share.items())
    rate = sum(m for *_, m in rows) / mean_life
    for prompt, output in share:
        alone = sum(Fraction(m, life(p, o)) for p, o, m in rows if (p, o) == (prompt, output))
        assert rate * share[prompt, output] == alone


def test_each_alone_falls_into_its_worst_cycle() -> None:
    # Theorem 2: M / (l1 (l0 + l1)) of x*, so (2 l0 + l1 + 1) / (2 (l0 + l1)) of it.
    found = mixing([filled(10, 2, 20), filled(10, 3, 20)])
    for replica, output in zip(found.segregated, (2, 3), strict=True):
        kept = (2 * 10 + output + 1) / (2 * (10 + output))
        assert replica.loss == pytest.approx(1 - kept, rel=1e-6)
        assert replica.period == output
    # 20 of each length per iteration at the equilibrium.
    lost = 40 * (1 - 23 / 24) + 60 * (1 - 24 / 26)
    assert found.segregated_loss == pytest.approx(lost / 100, rel=1e-6)


def test_a_stable_mix_loses_nothing_and_recomputes_nothing() -> None:
    # w = 11, 12, ½ · 13: the roots of 11 z² + 12 z + 6.5 have |z|² = 6.5 / 11.
    found = mixing([filled(10, 2, 20), filled(10, 3, 20)])
    for replica in found.mixed:
        assert replica.spectrum.radius == pytest.approx((6.5 / 11) ** 0.5)
        assert replica.period == 1
        assert replica.settled
    assert found.stabilises
    assert found.mixed_loss == 0
    assert found.mixed_tax == 0 < found.segregated_tax
    assert found.gain == pytest.approx(1 / (1 - found.segregated_loss) - 1)


def test_a_common_divisor_leaves_the_pulse_cycle() -> None:
    # theory, section 5, checked there by simulation: (l0 20; 8, 16; p ½) → 0.885870 x*.
    found = mixing([filled(20, 8, 20), filled(20, 16, 20)], resume=False)
    assert found.mixed_loss == pytest.approx(1 - 0.885870, abs=1e-6)
    assert [replica.period for replica in found.mixed] == [8, 8]
    assert not found.stabilises
    assert np.isnan(found.mixed_tax)


@pytest.mark.parametrize(("prompt", "stable"), [(742, True), (741, False)])
def test_neighbouring_lengths_stabilise_from_the_threshold(prompt: int, stable: bool) -> None:
    # theory, section 5: (l − 1, l), p = ½: l = 16 → l0,min = 742 by a scan.
    found = mixing([filled(prompt, 15, 20), filled(prompt, 16, 20)], resume=False)
    assert found.mixed[0].system.workload.share.tolist() == [0.5, 0.5]
    assert found.stabilises is stable


def test_the_map_is_the_roots_and_never_loses_by_mixing() -> None:
    drawn = mixing_map(16, [10, 742], [12, 15, 16])
    assert drawn.gcd.tolist() == [4, 1, 16]
    for i, prompt in enumerate((10, 742)):
        for j, other in enumerate((12, 15, 16)):
            w = np.zeros(16)
            for output in (16, other):
                w[:output] += prompt + 1 + np.arange(output)
            sizes = np.abs(np.roots(w))
            assert drawn.radius[i, j] == pytest.approx(sizes.max(), rel=1e-9)
            assert drawn.roots_outside[i, j] == (sizes > 1).sum()
            assert drawn.mixed_loss[i, j] <= drawn.segregated_loss[i, j] + 1e-4
    assert drawn.roots_outside[1].tolist() == [3, 0, 15]
    # One class on both sides is the same replica twice.
    assert drawn.mixed_loss[:, 2] == pytest.approx(drawn.segregated_loss[:, 2], abs=1e-4)


def test_a_mix_that_starves_long_requests_is_not_said_to_lose_nothing() -> None:
    # Without prompts and with very unequal outputs, evictions let the short ones through: more
    # output tokens than x* (see test_theory_laws), here from memory for 9,000 and 100 a round.
    found = mixing([filled(0, 1, 9000), filled(0, 100, 100)], resume=False)
    assert found.mixed[0].spectrum.roots_outside > 0
    assert found.mixed[0].period == 100
    assert found.mixed_loss < -1
    assert found.mixed[0].loss < -1


def test_without_prompts_and_evictions_nothing_is_recomputed() -> None:
    found = mixing([filled(0, 1, 20), filled(0, 1, 20)])
    assert (found.mixed_tax, found.segregated_tax) == (0, 0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="one system or more"):
        mixing([])
    small = System(Workload.fixed(1, 2), 30)
    large = System(Workload.fixed(100, 20), 1000)
    with pytest.raises(InputError, match="can never fit in 30"):
        mixing([small, large])
    with pytest.raises(InputError, match="requests"):
        mixing_map(16, [10], [12], requests=0)
    with pytest.raises(InputError, match="fewer requests"):
        mixing_map(100, [2**24], [12], requests=2**20)
