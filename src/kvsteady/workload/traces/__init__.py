"""Recorded requests: `read_trace` turns a file into a workload.

One small file per format is in ``formats``, one per kind of file in ``containers``.
"""

from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat, TraceFormat
from kvsteady.workload.traces.formats import FORMATS
from kvsteady.workload.traces.read import read_trace, recognise

__all__ = ["FORMATS", "Columns", "TableFormat", "TraceFormat", "read_trace", "recognise"]
