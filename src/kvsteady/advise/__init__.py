"""Numbers to a verdict, a price, and settings to paste; or "leave it alone"."""

from kvsteady.advise.analyse import check
from kvsteady.advise.analysis import SCHEMA_VERSION, Analysis, load_analysis
from kvsteady.advise.verdict import Verdict

__all__ = ["SCHEMA_VERSION", "Analysis", "Verdict", "check", "load_analysis"]
