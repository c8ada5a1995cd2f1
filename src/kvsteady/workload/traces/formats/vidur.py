"""Traces of the Vidur simulator: lengths, and arrivals in some files.

Source: https://github.com/microsoft/vidur (data/processed_traces, and
vidur/request_generator/trace_replay_request_generator.py for arrived_at, in seconds).
"""

from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat

VIDUR = TableFormat(
    name="vidur",
    containers=("csv",),
    layouts=(
        Columns("num_prefill_tokens", "num_decode_tokens", "arrived_at", "s"),
        Columns("num_prefill_tokens", "num_decode_tokens"),
    ),
)
