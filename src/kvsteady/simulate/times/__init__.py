"""How long an iteration takes: `IterationTime` and its implementations.

`LinearTime` (terms by hand or from `kvsteady.simulate.fit`), `roofline` (from a config.json and a
GPU's figures), `fitted_time` (measured, comes with the package), `aiconfigurator_time` (NVIDIA's
operator tables, an extra) and `sampled` (any function of yours).
"""

from __future__ import annotations

from kvsteady.simulate.times.aiconfigurator import aiconfigurator_time
from kvsteady.simulate.times.fitted import (
    FITTED,
    FittedTime,
    Shape,
    fitted_time,
    read_fitted,
    save_fitted,
)
from kvsteady.simulate.times.form import FEATURES, TimeForm, iteration_seconds, rows_form
from kvsteady.simulate.times.gpus import GPU, GPUS
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.simulate.times.protocol import IterationTime, TabledTime, sampled
from kvsteady.simulate.times.roofline import RooflineTime, roofline

__all__ = [
    "FEATURES",
    "FITTED",
    "GPU",
    "GPUS",
    "FittedTime",
    "IterationTime",
    "LinearTime",
    "RooflineTime",
    "Shape",
    "TabledTime",
    "TimeForm",
    "aiconfigurator_time",
    "fitted_time",
    "iteration_seconds",
    "read_fitted",
    "roofline",
    "rows_form",
    "sampled",
    "save_fitted",
]
