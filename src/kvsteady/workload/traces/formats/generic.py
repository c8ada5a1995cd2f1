"""Any table, once its columns are named."""

from kvsteady.workload.traces.format import TableFormat

CSV = TableFormat(name="csv", containers=("csv",))
JSONL = TableFormat(name="jsonl", containers=("jsonl", "json"))
PARQUET = TableFormat(name="parquet", containers=("parquet",))
GENERIC = (CSV, JSONL, PARQUET)
