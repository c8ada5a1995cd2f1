"""Thin long arrays to what a plot can show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from kvsteady.advise.analysis import Curve, Curves, RunCurves
from kvsteady.arrays import FloatArray, IntArray
from kvsteady.model.trajectory import Trajectory
from kvsteady.theory.spectrum import Spectrum
from kvsteady.workload.law import Workload

POINTS = 400


def workload_curves(workload: Workload, spectrum: Spectrum, runs: tuple[RunCurves, ...]) -> Curves:
    """Curves of the law and its spectrum, with those of the runs."""
    prompts, place = np.unique(workload.prompt, return_inverse=True)
    mass = np.bincount(place, weights=workload.share)
    longer = 1 - np.cumsum(mass)
    return Curves(
        output_law=_picked(np.arange(workload.longest_output + 1), np.r_[workload.survival, 0.0]),
        prompt_law=_picked(np.r_[0, prompts], np.r_[1.0, np.maximum(longer, 0.0)]),
        weights=_picked(np.arange(workload.longest_output), workload.memory_weights()),
        modes=tuple((z.real, z.imag) for z in spectrum.modes),
        degree=spectrum.degree,
        runs=runs,
    )


def run_curves(title: str, policy: Literal["greedy", "rate cap"], run: Trajectory) -> RunCurves:
    """Memory (share of capacity), evictions and completions of a run over iterations."""
    return RunCurves(
        title=title,
        policy=policy,
        arithmetic=run.arithmetic,
        stretch=_stretch(len(run)),
        memory=_stretches(run.memory / run.system.kv_tokens, np.max),
        running=_stretches(run.running, np.mean),
        evicted=_stretches(run.evicted, np.mean),
        completed=_stretches(run.completed, np.mean),
    )


def _picked(x: IntArray, y: FloatArray) -> Curve:
    """Every point of a short curve; of a long one, evenly picked ones with both ends."""
    place = np.unique(np.linspace(0, x.size - 1, min(x.size, POINTS)).round().astype(int))
    return Curve(x=tuple(map(float, x[place])), y=tuple(map(float, y[place])))


def _stretch(iterations: int) -> int:
    """Iterations that share a point."""
    return max(1, -(-iterations // POINTS))


def _stretches(values: FloatArray, summary: Callable[[FloatArray], np.floating]) -> Curve:
    """One point per stretch of iterations, placed at its start."""
    width = _stretch(values.size)
    starts = range(0, values.size, width)
    return Curve(
        x=tuple(float(start) for start in starts),
        y=tuple(float(summary(values[start : start + width])) for start in starts),
    )
