"""Which flags or which admission policy an engine gains from, if from any, and at what price."""

from kvsteady.advise.tuning.outcome import TuningOutcome
from kvsteady.advise.tuning.problem import TuningProblem
from kvsteady.advise.tuning.record import (
    TUNING_SCHEMA_VERSION,
    Effect,
    Interval,
    Measured,
    Objective,
    Seeds,
    Tried,
    Tuning,
    TuningLoad,
    load_tuning,
)
from kvsteady.advise.tuning.stages import tune

__all__ = [
    "TUNING_SCHEMA_VERSION",
    "Effect",
    "Interval",
    "Measured",
    "Objective",
    "Seeds",
    "Tried",
    "Tuning",
    "TuningLoad",
    "TuningOutcome",
    "TuningProblem",
    "load_tuning",
    "tune",
]
