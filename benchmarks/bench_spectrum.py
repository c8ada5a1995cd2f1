"""Spectral verdict by winding against ``numpy.roots``, where that finishes."""

from __future__ import annotations

import time

import numpy as np

from kvsteady import Lengths, Workload, independent, preset, spectrum

FINISHES = 1100  # degree up to which numpy.roots takes seconds, not minutes


def cases() -> list[tuple[str, Workload]]:
    """Laws from short to 32,768 tokens."""
    prompt = Lengths.fixed(200)
    return [
        ("three tiers, L = 512", preset("three-tiers")),
        ("azure-conv, L = 1,000", preset("azure-conv")),
        ("RL rollouts, L = 2,048", preset("rl-rollouts")),
        ("fixed, L = 4,096", Workload.fixed(128, 4096)),
        ("log-normal, L = 32,768", independent(prompt, Lengths.lognormal(2000, 1.2, 32_768))),
        ("geometric, L = 32,768", independent(prompt, Lengths.geometric(8000, 32_768))),
    ]


def main() -> None:
    print("spectrum: roots outside and spectral radius (aim: L = 1,000 in 100 ms, 32,768 in 2 s)")
    print(
        f"{'law':>24} {'radius':>12} {'outside':>8} {'winding':>10} {'np.roots':>12} {'ratio':>7}"
    )
    for name, load in cases():
        spectrum(load)
        start = time.perf_counter()
        found = spectrum(load)
        ours = time.perf_counter() - start
        line = f"{name:>24} {found.radius:12.9f} {found.roots_outside!s:>8} {ours * 1e3:7.1f} ms"
        if found.degree > FINISHES:
            print(f"{line} {'–':>12} {'–':>7}")
            continue
        start = time.perf_counter()
        roots = np.roots(load.memory_weights())
        theirs = time.perf_counter() - start
        assert abs(np.abs(roots).max() - found.radius) < 1e-8
        print(f"{line} {theirs * 1e3:9.1f} ms {theirs / ours:6.0f}x")


if __name__ == "__main__":
    main()
