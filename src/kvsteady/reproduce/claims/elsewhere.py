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
)
