"""Azure LLM inference traces of 2023 and 2024.

Source: https://github.com/Azure/AzurePublicDataset (AzureLLMInferenceDataset2023.md and
AzureLLMInferenceDataset2024.md). 2023 has times without an offset, 2024 with +00:00.
"""

from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat

AZURE = TableFormat(
    name="azure",
    containers=("csv", "parquet"),
    layouts=(Columns("ContextTokens", "GeneratedTokens", "TIMESTAMP", "iso"),),
)
