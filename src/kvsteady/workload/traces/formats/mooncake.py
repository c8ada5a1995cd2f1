"""Mooncake traces of Kimi; ``hash_ids`` name shared prefixes, which kvsteady does not model.

Source: https://github.com/kvcache-ai/Mooncake (FAST25-release/traces), times in milliseconds.
"""

from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat

MOONCAKE = TableFormat(
    name="mooncake",
    containers=("jsonl",),
    layouts=(Columns("input_length", "output_length", "timestamp", "ms"),),
    caveat="shared prefixes (hash_ids) are not modelled: every prompt counts in full",
)
