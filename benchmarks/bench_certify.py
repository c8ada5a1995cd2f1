"""Proved verdicts by winding in ball arithmetic, against isolating every root (Arb)."""

from __future__ import annotations

import time

import numpy as np

from kvsteady import Lengths, Workload, independent, preset
from kvsteady.theory.certify import certify, isolate_roots

ISOLATES = 512  # degree up to which isolating all roots takes seconds


def cases() -> list[tuple[str, Workload]]:
    """Easy and hard laws: close to a threshold, with many roots just outside, with many classes."""
    draw = np.random.default_rng(0)
    classes = [draw.integers(0, 3000, 2000), draw.integers(1, 4097, 2000), [1] * 2000]
    return [
        ("(63, 64) at its threshold", Workload.classes([(51_833, 63), (51_833, 64)])),
        ("(255, 256), prompt 4,000", Workload.classes([(4000, 255), (4000, 256)])),
        ("{127, 255, 509}", Workload.classes([(262_144, n) for n in (127, 255, 509)])),
        ("{128, 256, 512}, 1 M", Workload.classes([(1_000_000, n) for n in (128, 256, 512)])),
        ("fixed 4,096", Workload.fixed(128, 4096)),
        ("(4095, 4096)", Workload.classes([(4000, 4095), (4000, 4096)])),
        ("{1024, 2048, 4096}, 1 M", Workload.classes([(10**6, n) for n in (1024, 2048, 4096)])),
        ("2,000 classes", Workload.from_counts(*classes)),
        ("azure-conv", preset("azure-conv")),
        ("log-normal", independent(Lengths.fixed(200), Lengths.lognormal(2000, 1.2, 32_768))),
    ]


def main() -> None:
    print("certify: roots outside, proved (aim: degree 512 in 5 s, 4,096 in 60 s)")
    print(
        f"{'law':>26} {'degree':>7} {'outside':>8} {'certify':>10} {'all roots':>11} {'ratio':>7}"
    )
    for name, load in cases():
        start = time.perf_counter()
        found = certify(load)
        ours = time.perf_counter() - start
        line = f"{name:>26} {found.degree:7,} {found.roots_outside!s:>8} {ours:8.3f} s"
        if found.degree > ISOLATES:
            print(f"{line} {'–':>11} {'–':>7}  {found.method}")
            continue
        start = time.perf_counter()
        roots = isolate_roots(load)
        theirs = time.perf_counter() - start
        assert roots.roots_outside == found.roots_outside
        print(f"{line} {theirs:9.3f} s {theirs / ours:6.0f}x  {found.method}")


if __name__ == "__main__":
    main()
