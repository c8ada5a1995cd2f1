"""The trace formats, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kvsteady.workload.traces.format import TraceFormat
from kvsteady.workload.traces.formats.azure import AZURE
from kvsteady.workload.traces.formats.burstgpt import BURSTGPT
from kvsteady.workload.traces.formats.generic import CSV, JSONL, PARQUET
from kvsteady.workload.traces.formats.mooncake import MOONCAKE
from kvsteady.workload.traces.formats.sharegpt import SHAREGPT
from kvsteady.workload.traces.formats.vidur import VIDUR
from kvsteady.workload.traces.formats.vllm_bench import VLLM_BENCH
from kvsteady.workload.traces.formats.vllm_run import VLLM_RUN

_IN_ORDER: tuple[TraceFormat, ...] = (
    AZURE,
    BURSTGPT,
    VIDUR,
    MOONCAKE,
    VLLM_RUN,
    VLLM_BENCH,
    SHAREGPT,
    CSV,
    JSONL,
    PARQUET,
)

FORMATS: Mapping[str, TraceFormat] = MappingProxyType({each.name: each for each in _IN_ORDER})
"""Every format by its name, in recognition order."""
