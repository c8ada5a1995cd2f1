"""Claims that the exact model cannot settle."""

from __future__ import annotations

from kvsteady.reproduce.claim import Claim

CLAIMS = (
    Claim(
        key="engine-throughput",
        title="Throughput lost and regained on a GPU",
        source="paper: experiments",
        says="On real GPUs the eviction cycle costs throughput, which admission control wins back.",
        why_not="Needs a GPU and a real engine: see the work on plug-ins.",
    ),
    Claim(
        key="open-loop",
        title="Metastability and recovery under open-loop arrivals",
        source="ours: measured at request level (specification, engines)",
        says="After a burst the eviction cycle persists at a rate that is served without eviction "
        "from empty; a cap ends it.",
        why_not="Needs arrivals over time: waits for the request-level simulator.",
    ),
    Claim(
        key="open-loop-mixing",
        title="Mixing classes over replicas below saturation",
        source="ours: measured at request level (specification, engines)",
        says="Open loop at 36 requests/s: 3,645 evictions segregated, none mixed.",
        why_not="Needs arrivals over time and several replicas: waits for the request-level "
        "simulator.",
    ),
    Claim(
        key="engine-decisions",
        title="Evictions of the real schedulers",
        source="ours: measured on the engines (specification)",
        says="vLLM, SGLang and Transformers evict as measured on their real schedulers.",
        why_not="Needs the engines installed, and their paging and chunking: waits for the "
        "request-level simulator.",
    ),
)
