"""A workload as saved data describes it."""

from __future__ import annotations

from kvsteady.advise.record import WorkloadSummary
from kvsteady.model.system import System


def describe(system: System) -> WorkloadSummary:
    """What to call it, and its lengths."""
    load = system.workload
    return WorkloadSummary(
        name=_printable(load.name),
        classes=len(load),
        random=load.random,
        mean_prompt=load.mean_prompt,
        mean_output=load.mean_output,
        longest_output=load.longest_output,
        largest_request=load.largest_request,
        requests=None if load.arrivals is None else len(load.arrivals),
        arrivals_per_second=None if load.arrivals is None else load.arrivals.rate,
        notes=tuple(map(_printable, load.notes)),
    )


def _printable(text: str) -> str:
    """Without the halves of characters that a file name may hold: they have no UTF-8."""
    return text.encode("utf-8", "replace").decode()
