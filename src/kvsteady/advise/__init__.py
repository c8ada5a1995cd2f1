"""Numbers to a verdict, a price, and settings to paste; or "leave it alone"."""

from kvsteady.advise.analyse import check
from kvsteady.advise.analysis import (
    SCHEMA_VERSION,
    Analysis,
    Curve,
    Curves,
    EngineSettings,
    OrbitSummary,
    Proof,
    ResumeCost,
    RunCurves,
    RunSummary,
    Setting,
    load_analysis,
)
from kvsteady.advise.engine_estimate import (
    EngineEstimate,
    EngineRun,
    OnEngine,
    estimate_engine,
)
from kvsteady.advise.load import load_saved
from kvsteady.advise.record import Advice, WorkloadSummary
from kvsteady.advise.tier_records import (
    Cures,
    SmallestRadius,
    TierGain,
    TierReport,
    TierRow,
    load_tier_report,
)
from kvsteady.advise.tiers import compare_tiers
from kvsteady.advise.tuning import (
    Tuning,
    TuningOutcome,
    TuningProblem,
    load_tuning,
    tune,
)
from kvsteady.advise.verdict import Verdict

__all__ = [
    "SCHEMA_VERSION",
    "Advice",
    "Analysis",
    "Cures",
    "Curve",
    "Curves",
    "EngineEstimate",
    "EngineRun",
    "EngineSettings",
    "OnEngine",
    "OrbitSummary",
    "Proof",
    "ResumeCost",
    "RunCurves",
    "RunSummary",
    "Setting",
    "SmallestRadius",
    "TierGain",
    "TierReport",
    "TierRow",
    "Tuning",
    "TuningOutcome",
    "TuningProblem",
    "Verdict",
    "WorkloadSummary",
    "check",
    "compare_tiers",
    "estimate_engine",
    "load_analysis",
    "load_saved",
    "load_tier_report",
    "load_tuning",
    "tune",
]
