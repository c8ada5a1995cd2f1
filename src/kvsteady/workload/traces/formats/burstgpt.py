"""BurstGPT: ChatGPT and GPT-4 requests of a university.

Source: https://github.com/HPMLL/BurstGPT. Its README calls rows with 0 response tokens failures;
releases from 2.0 have two more columns, Session ID and Elapsed time.
"""

from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat

BURSTGPT = TableFormat(
    name="burstgpt",
    containers=("csv", "parquet"),
    layouts=(Columns("Request tokens", "Response tokens", "Timestamp", "s"),),
    failed="0 response tokens mark a failed request in BurstGPT",
)
