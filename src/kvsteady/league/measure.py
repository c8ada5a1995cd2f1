"""What a run of an engine came to, whoever decides who gets in."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.model.system import System
from kvsteady.simulate import arriving
from kvsteady.simulate.gaps import gap_quantile
from kvsteady.simulate.machine import Machine

_SLICE = 4_096
# A good request: first token and mean time per further one, in seconds.
TTFT, TPOT = 2.0, 0.05


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. Numbers that do not exist are null.

    ``of_x`` is completions per decode iteration over x* in blocks, each completion weighted with
    the memory it takes over its life against the mean's (so that it is exact where laws drift and
    less noisy where lengths are random). ``recompute_tax`` is the share of prefilled tokens that
    are computed again, ``recomputed_share`` that of all computed tokens. Times between tokens
    (ITL) are in milliseconds, the time to the first (TTFT) in seconds, of those who came after the
    first fifth of an open loop; ``goodput`` is requests per second with a first token within 2 s
    and 50 ms per token after it, ``good`` their share; ``recovered`` is ``of_x`` from one to three
    maximal service times after a burst. ``cached_tokens`` are those of a prompt that the prefix
    cache had at first admission, on average.
    """

    outcome: str
    iterations: int
    completions: int
    completions_per_iteration: float
    of_x: float
    recompute_tax: float
    recomputed_share: float
    evictions_per_completion: float
    tokens_per_second: float
    itl_p50_ms: float | None
    itl_p99_ms: float | None
    ttft_p99_s: float | None
    goodput: float | None
    recovered: float | None
    decoding: float
    kv_usage: float
    good: float | None = None
    cached_tokens: float | None = None


def warm_up_of(longest: int) -> int:
    """Iterations before measuring: four lives of the longest output, and at least 2,000."""
    return max(4 * longest, 2_000)


def measure(
    machine: Machine,
    left: list[Any],
    system: System,
    *,
    warm_up: int,
    iterations: int,
    open_loop: bool,
) -> Result:
    """Run a machine, and put the numbers together.

    Parameters
    ----------
    machine
        At its beginning.
    left
        What its sink ``finished`` appends to.
    system
        Memory, and the blocks that ``of_x`` counts in.
    warm_up, iterations
        How many iterations pass before measuring, and how many are measured at most.
    open_loop
        Requests come in their own time: those after the first fifth of them have a TTFT.
    """
    _advance(machine, warm_up)
    machine.flush()
    left.clear()
    before, gaps = machine.clock.copy(), machine.state.gaps.copy()
    why = _advance(machine, iterations)
    machine.flush()
    after = machine.clock

    def over(field: str) -> float:
        return float(after[field] - before[field])

    gaps = machine.state.gaps - gaps
    rows = np.concatenate(left) if left else np.zeros(0, machine.state.outbox.dtype)
    steps = max(over("tick"), 1.0)
    memory = float(system.kv_tokens // system.block_size * system.block_size)
    used = footprint(rows["prompt"], rows["output"], system.block_size).sum()
    completed, prefilled = over("all_completed"), over("all_prefill")
    recomputed = over("all_recomputed")
    seconds = float(after["now"] - before["now"])
    return Result(
        outcome=_ENDS.get(why, "ran"),
        iterations=int(over("iteration")),
        completions=int(completed),
        completions_per_iteration=completed / steps,
        of_x=float(used) / (memory * steps),
        recompute_tax=recomputed / max(prefilled, 1.0),
        recomputed_share=recomputed / max(prefilled + over("all_decode"), 1.0),
        evictions_per_completion=over("all_preempted") / max(completed, 1.0),
        tokens_per_second=over("all_output") / seconds if seconds else 0.0,
        itl_p50_ms=_finite(1e3 * gap_quantile(gaps, 0.5)),
        itl_p99_ms=_finite(1e3 * gap_quantile(gaps, 0.99)),
        decoding=over("all_decode") / steps,
        kv_usage=over("block_seconds") / max(over("busy") * float(after["total"]), 1e-9),
        recovered=None,
        cached_tokens=float(rows["hit"].mean()) if rows.size else None,
        **_waiting(rows, open_loop=open_loop),
    )


def _advance(machine: Machine, iterations: int) -> int:
    """Run in slices, between which an interrupt gets through."""
    why = arriving.GO
    while iterations > 0 and why == arriving.GO:
        why = machine.run(min(iterations, _SLICE))
        iterations -= _SLICE
    return why


def footprint(prompt: IntArray, output: IntArray, block: int) -> FloatArray:
    """KV tokens in whole blocks that requests hold, summed over the iterations of their lives:
    ``Σ_{t=l0+1}^{l0+l1} ⌈t / B⌉ B``, shape of ``prompt``.
    """

    def up_to(tokens: IntArray) -> FloatArray:
        whole, rest = np.divmod(tokens, block)
        return np.asarray(block**2 * whole * (whole + 1) / 2 + rest * block * (whole + 1))

    return up_to(prompt + output) - up_to(prompt)


_ENDS = {
    arriving.LIVELOCK: "livelocked",
    arriving.STALLED: "stalled",
    arriving.HOPELESS: "stalled",
}


def _waiting(rows: Any, *, open_loop: bool) -> dict[str, float | None]:
    if not open_loop or not rows.size:
        return {"ttft_p99_s": None, "goodput": None, "good": None}
    rows = rows[np.argsort(rows["arrival"], kind="stable")]
    rows = rows[rows.size // 5 :]
    first = rows["first_token"] - rows["arrival"]
    each = (rows["finish"] - rows["first_token"]) / np.maximum(rows["output"] - 1, 1)
    good = int(((first <= TTFT) & (each <= TPOT)).sum())
    span = float(rows["finish"].max() - rows["arrival"][0])
    return {
        "ttft_p99_s": float(np.quantile(first, 0.99)),
        "goodput": good / span,
        "good": good / rows.size,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
