"""Certificates against Sturm chains in fractions, published thresholds and constructed margins."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError, MissingExtraError
from kvsteady.theory import Stability, spectrum
from kvsteady.theory.certify import (
    Certificate,
    Proven,
    certify,
    certify_weights,
    whole_weights,
)
from kvsteady.theory.certify.circle import orders_up_to
from kvsteady.workload import Workload
from reference.systems import workloads
from reference.unit_circle import roots_about_the_circle


def counts(found: Certificate) -> tuple[int | None, int | None, int | None]:
    return found.roots_outside, found.roots_on_circle, found.roots_inside


def is_coherent(found: Certificate) -> None:
    assert found.decided
    assert sum(counts(found)) == found.degree
    expected = (
        Proven.UNSTABLE
        if found.roots_outside
        else Proven.MARGINAL
        if found.roots_on_circle
        else Proven.STABLE
    )
    assert found.outcome is expected
    assert found.stable == (expected is Proven.STABLE)
    assert sum(phi(n) for n in found.unity_orders) <= found.roots_on_circle


def phi(n: int) -> int:
    """How many primitive n-th roots of unity there are."""
    return sum(math.gcd(k, n) == 1 for k in range(1, n + 1))


def unity_orders(weights: list[int]) -> tuple[int, ...]:
    """Orders of roots of unity among the roots, by evaluation at each, derivatives included."""
    found = []
    for n in range(2, 6 * len(weights) + 6):
        p = np.array(weights, dtype=float)
        while p.size > 1 and abs(np.polyval(p, np.exp(2j * np.pi / n))) < 1e-9 * np.abs(p).sum():
            found.append(n)
            p = np.polyder(p)
    return tuple(found)


weight_lists = st.tuples(
    st.integers(1, 6), st.lists(st.integers(0, 6), max_size=9), st.integers(1, 6)
).map(lambda parts: [parts[0], *parts[1], parts[2]])


@settings(deadline=None, max_examples=200)
@given(weight_lists)
def test_certificates_of_small_weights_are_those_of_sturm_chains(weights: list[int]) -> None:
    found = certify_weights(weights)
    is_coherent(found)
    assert counts(found) == roots_about_the_circle(weights)
    assert found.unity_orders == unity_orders(weights)


@settings(deadline=None, max_examples=100)
@given(
    weight_lists,
    st.lists(st.sampled_from([[1, 1], [1, 1, 1], [1, 0, 1], [3, 5, 3], [2, 5, 2]]), max_size=3),
)
def test_multiple_roots_on_the_circle_are_counted(
    weights: list[int], factors: list[list[int]]
) -> None:
    # Φ_2, Φ_3, Φ_4, a pair on the circle that are no roots of unity, and the pair 2, 1/2 negated.
    product = np.array(weights, dtype=object)
    for factor in factors:
        product = np.convolve(product, np.array(factor, dtype=object))
    found = certify_weights(product.tolist())
    is_coherent(found)
    assert counts(found) == roots_about_the_circle(product.tolist())


@settings(deadline=None, max_examples=60)
@given(workloads(most_output=9), st.sampled_from([1, 2, 3, 4, 16]))
def test_whole_weights_are_the_definition_and_their_certificate_sturms(
    load: Workload, block: int
) -> None:
    rows = list(zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True))
    weights = [
        sum(n * math.ceil(Fraction(p + m + 1, block)) * block for p, o, n in rows if o > m)
        for m in range(load.longest_output)
    ]
    assert whole_weights(load, block) == tuple(weights)
    found = certify(load, block_size=block)
    is_coherent(found)
    assert counts(found) == roots_about_the_circle(weights)


@settings(deadline=None, max_examples=60)
@example(Workload.classes([(18, 1), (0, 38)]))  # -1 is a root, and 36 are outside
@given(workloads(most_output=90))
def test_certified_and_float_verdicts_agree(load: Workload) -> None:
    found, floats = certify(load), spectrum(load)
    is_coherent(found)
    if floats.roots_outside is None:
        # Nothing is counted in floats only where a root lies on the circle or as good as on it.
        assert (
            found.roots_on_circle or np.abs(np.abs(np.roots(whole_weights(load))) - 1).min() < 1e-7
        )
    else:
        assert floats.roots_outside == found.roots_outside
        assert not found.roots_on_circle or floats.monotone is not floats.monotone.NEITHER
    if floats.outcome is not Stability.UNDECIDED:
        assert (floats.outcome is Stability.UNSTABLE) == (found.roots_outside > 0)


@pytest.mark.parametrize(
    ("l", "share", "threshold"),
    [(16, 0.5, 742), (32, 0.5, 6308), (64, 0.5, 51_833), (32, 0.2, 10_168)],
)
def test_the_finite_prompt_threshold_is_proved_on_both_sides(
    l: int,  # noqa: E741 -- the paper's l
    share: float,
    threshold: int,
) -> None:
    # Theory, section 5 (Proposition 4).
    for prompt, outcome in ((threshold, Proven.STABLE), (threshold - 1, Proven.UNSTABLE)):
        found = certify(Workload.classes([(prompt, l - 1, share), (prompt, l, 1 - share)]))
        assert (found.outcome, found.degree) == (outcome, l - 1)
        assert found.method == "winding in ball arithmetic"


@pytest.mark.parametrize(
    ("tiers", "outside"), [((127, 255, 509), 6), ((101, 239, 503), 0), ((121, 263, 499), 0)]
)
def test_coprime_tiers_at_a_quarter_million_prompt_tokens(
    tiers: tuple[int, ...], outside: int
) -> None:
    # Theory, section 5.
    found = certify(Workload.classes([(262_144, output) for output in tiers]))
    assert counts(found) == (outside, 0, max(tiers) - 1 - outside)


def near_the_circle(outputs: tuple[int, ...], prompt: int) -> tuple[int, np.ndarray]:
    """Roots beyond 1 − 1e-4 by the argument along that circle, and those near the g-th roots of
    unity by Newton's method; weights in equal shares, summed class by class.
    """
    weights = np.zeros(max(outputs))
    for output in outputs:
        weights[:output] += prompt + 1 + np.arange(output)
    radius = 1 - 1e-4
    turned = np.fft.fft(weights * radius ** -np.arange(weights.size, dtype=float), 2**19)
    angles = np.unwrap(np.angle(np.append(turned, turned[0])))
    assert np.abs(np.diff(angles)).max() < 1  # no step could hide a turn
    beyond = round(float(angles[0] - angles[-1]) / (2 * np.pi))
    g = math.gcd(*outputs)
    z = np.exp(2j * np.pi * np.arange(1, g) / g)
    for _ in range(6):
        step = np.polyval(weights, z) / np.polyval(np.polyder(weights), z)
        z = z - step
    assert np.abs(step).max() < 1e-10
    return beyond, z


@pytest.mark.parametrize(
    ("outputs", "outside"), [((128, 256, 512), 127), ((1024, 2048, 4096), 1023)]
)
def test_long_outputs_that_rise_and_fall_are_certified(
    outputs: tuple[int, ...], outside: int
) -> None:
    prompt = 1_000_000
    # At most so many roots lie beyond 1 − 1e-4, and each g-th root of unity ζ ≠ 1 has one next to
    # it at about ζ (1 + 1 / (l0 + L)), as F = (l0 + L) A − z A′ and A(ζ) = 0 (theory, section 5).
    beyond, near = near_the_circle(outputs, prompt)
    assert beyond == near.size == outside
    longest = max(outputs)
    assert np.abs(near) - 1 == pytest.approx(1 / (prompt + longest), rel=0.01)
    assert np.abs(np.diff(np.sort(np.angle(near)))).min() > 1e-3  # they are different roots
    load = Workload.classes([(prompt, output) for output in outputs])
    found = certify(load)
    assert found.method == "winding in ball arithmetic"
    assert counts(found) == (outside, 0, longest - 1 - outside)
    assert found.outcome is Proven.UNSTABLE


def test_one_class_is_unstable_without_any_library(monkeypatch: pytest.MonkeyPatch) -> None:
    # Theorem 2's local half: weights l0 + 1 … l0 + l1 increase.
    monkeypatch.setitem(sys.modules, "flint", None)
    found = certify(Workload.fixed(128, 4096))
    assert (found.outcome, found.method) == (Proven.UNSTABLE, "Eneström–Kakeya")
    assert counts(found) == (4095, 0, 0)
    assert found.bits == 0
    assert certify(Workload.fixed(7, 1)).method == "no root"
    with pytest.raises(MissingExtraError, match=r"flint .* pip install 'kvsteady\[certify\]'"):
        certify(Workload.classes([(5, 4), (5, 9)]))


@pytest.mark.parametrize("block", [2, 3, 4, 8])
@pytest.mark.parametrize("prompt", [0, 1, 8, 12])
@pytest.mark.parametrize("output", [6, 8, 12])
def test_blocks_put_roots_of_one_class_on_the_circle(block: int, prompt: int, output: int) -> None:
    found = certify(Workload.fixed(prompt, output), block_size=block)
    weights = [-(-(prompt + m + 1) // block) * block for m in range(output)]
    assert counts(found) == roots_about_the_circle(weights)
    assert found.unity_orders == unity_orders(weights)
    assert found.method == "Eneström–Kakeya"
    if prompt % block == output % block == 0:  # w = 1 + z + … + z^(B−1) times whole blocks
        assert found.roots_on_circle == (block - 1 if output > block else output - 1)


def test_all_tokens_in_one_block_is_marginal() -> None:
    found = certify(Workload.fixed(0, 16), block_size=16)
    assert found.outcome is Proven.MARGINAL
    assert (counts(found), found.unity_orders) == ((0, 15, 0), (2, 4, 8, 16))


def test_weak_monotony_is_decided_by_where_the_weights_change() -> None:
    # 3 3 3 2 2 2 1 1 1 = (1 + z + z²)(3 z⁶ + 2 z³ + 1); one more step breaks the pattern.
    found = certify_weights([3, 3, 3, 2, 2, 2, 1, 1, 1])
    assert (counts(found), found.unity_orders) == ((0, 2, 6), (3,))
    assert certify_weights([3, 3, 3, 2, 2, 2, 1, 1]).stable
    assert counts(certify_weights([1, 1, 2, 2, 2])) == (4, 0, 0)


# Shares that solve F(ζ) = 0 for a primitive root of unity ζ, found by linear algebra over Φ_n.
MARGINAL = [
    (2, [(1, 1, 1), (1, 2, 2)]),
    (3, [(259, 11, 86), (76, 10, 271), (106, 3, 22_149)]),
    (3, [(636_944, 3, 321_804_271_288), (799_308, 713, 402_440), (804_423, 457, 400_011)]),
    (6, [(142, 11, 663), (220, 1, 462), (126, 6, 15_691)]),
    (
        8,
        [
            (4680, 11, 17_298),
            (862, 5, 81_144_918),
            (1912, 10, 42_228),
            (458, 1, 153_450_650),
            (4019, 8, 17_567_815_221),
        ],
    ),
]


@pytest.mark.parametrize(("order", "rows"), MARGINAL)
def test_a_root_of_unity_is_found_exactly_and_floats_do_not_guess(
    order: int, rows: list[tuple[int, int, int]]
) -> None:
    load = Workload.from_counts(*zip(*rows, strict=True))
    found = certify(load)
    is_coherent(found)
    assert found.outcome is Proven.MARGINAL
    assert found.unity_orders == (order,)
    assert spectrum(load).outcome is Stability.UNDECIDED


def test_the_pulses_of_three_tiers_are_marginal_and_their_equilibrium_unstable() -> None:
    # Theory, section 5: 384 z³ + 341⅓ z² + 213⅓ z + 256 at prompt 256, outputs 128, 256, 512.
    found = certify_weights([1152, 1024, 640, 768])
    assert (found.outcome, counts(found)) == (Proven.MARGINAL, (0, 1, 2))
    assert found.unity_orders == (2,)
    load = Workload.classes([(256, 128), (256, 256), (256, 512)])
    assert counts(certify(load)) == (255, 0, 256)
    assert spectrum(load).roots_outside == 255


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_share_of_one_in_a_million_billion_decides(step: int) -> None:
    # Prompt 1, outputs 5 and 12: F(−1) = 4 t₁ − 6 t₂, 0 for t₁ : t₂ = 3 : 2.
    rows = [(1, 5, 9 * 10**14), (1, 12, 6 * 10**14 + step)]
    load = Workload.from_counts(*zip(*rows, strict=True))
    found = certify(load)
    is_coherent(found)
    assert counts(found) == roots_about_the_circle(whole_weights(load))
    assert found.unity_orders == ((2,) if step == 0 else ())
    # Floats cannot count the root near −1; others lie well outside and settle the verdict.
    floats = spectrum(load)
    assert (floats.outcome, floats.roots_outside) == (Stability.UNSTABLE, None)


@pytest.mark.parametrize("digits", [12, 45, 200])
@pytest.mark.parametrize("step", [-1, 1])
def test_precision_grows_until_a_close_root_is_placed(digits: int, step: int) -> None:
    # (10^d z + 10^d ± 1)(z² + z + 3)(2 z + 1): roots −1 ∓ 10^−d, |z| = √3, −1/2.
    product = [10**digits, 10**digits + step]
    for factor in ([1, 1, 3], [2, 1]):
        product = np.convolve(np.array(product, object), np.array(factor, object)).tolist()
    found = certify_weights(product)
    assert counts(found) == ((3, 0, 1) if step > 0 else (2, 0, 2))
    assert found.bits > 128 or digits == 12


def test_common_factors_and_powers_of_z_change_nothing() -> None:
    weights = [5, 2, 7, 1, 3]
    plain = certify_weights(weights)
    assert counts(certify_weights([10**30 * w for w in weights])) == counts(plain)
    spread = [0] * 13
    spread[::3] = weights
    assert counts(certify_weights(spread)) == tuple(3 * n for n in counts(plain))


@pytest.mark.parametrize("degree", [1, 2, 3, 6, 17, 100])
def test_every_order_that_could_divide_is_tried(degree: int) -> None:
    # φ(n) ≥ √(n/2), so none beyond 2 d² is missed; 10 d + 10 covers these degrees by far.
    last = 2 * degree**2 + 10 if degree < 10 else 10 * degree
    assert orders_up_to(degree) == [n for n in range(2, last) if phi(n) <= degree]


def test_long_outputs_report_progress() -> None:
    seen: list[tuple[int, int | None]] = []
    load = Workload.classes([(262_144, 127), (262_144, 255), (262_144, 509)])
    found = certify(load, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == found.points
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    "weights", [[], [0, 1], [1, 0], [1, -2, 1], [1.0, 2, 3], [1, Fraction(1, 2)], [True, 2], ["1"]]
)
def test_impossible_weights_are_refused(weights: list[object]) -> None:
    with pytest.raises(InputError, match="field 'weights'"):
        certify_weights(weights)


@pytest.mark.parametrize("block", [0, -1, 1.5, "16"])
def test_impossible_blocks_are_refused(block: object) -> None:
    with pytest.raises(InputError, match="field 'block_size'"):
        certify(Workload.fixed(3, 4), block_size=block)
