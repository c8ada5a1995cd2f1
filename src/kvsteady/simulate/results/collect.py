"""Takes in the rows of a run as they come, and keeps only what the result needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.simulate.gaps import gap_bins
from kvsteady.simulate.records import COMPLETED, REJECTED
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.results.series import Series
from kvsteady.simulate.results.simulation import RejectedRequest
from kvsteady.simulate.results.spread import Spread
from kvsteady.simulate.state import GAP_BINS

# Rejected requests that are named.
_NAMED = 10


class Requests:
    """Sums and spreads over requests that left while measuring."""

    def __init__(self, objectives: Objectives) -> None:
        self._objectives = objectives
        self.ttft, self.tpot, self.e2el, self.queue = Spread(), Spread(), Spread(), Spread()
        self.completed = self.prompt = self.output = self.cached = self.good = 0
        self.preemptions = 0
        self.decoding = 0.0  # seconds from first to last token, summed
        self.met = dict.fromkeys(objectives.limits, 0)

    def add(self, rows: Any) -> None:
        """Count `records.LEFT` rows that completed."""
        self.completed += rows.size
        self.prompt += int(rows["prompt"].sum())
        self.output += int(rows["output"].sum())
        self.cached += int(np.minimum(rows["hit"], rows["prompt"]).sum())
        self.preemptions += int(rows["preemptions"].sum())
        seconds = latencies(rows)
        self.ttft.add(seconds["ttft"])
        # As in vLLM bench: an output of one token has no TPOT, but counts as 0 for goodput.
        self.tpot.add(seconds["tpot"][rows["output"] > 1])
        self.e2el.add(seconds["e2el"])
        self.queue.add(rows["scheduled"] - rows["arrival"])
        self.decoding += float((rows["finish"] - rows["first_token"]).sum())
        good = np.ones(rows.size, dtype=bool)
        for name, met in self._objectives.met(seconds).items():
            self.met[name] += int(met.sum())
            good &= met
        self.good += int(good.sum())


def latencies(rows: Any) -> dict[str, FloatArray]:
    """TTFT, TPOT and end-to-end latency of completed requests, in seconds."""
    after_first = rows["finish"] - rows["first_token"]
    return {
        "ttft": rows["first_token"] - rows["arrival"],
        "tpot": after_first / np.maximum(rows["output"] - 1, 1),
        "e2el": rows["finish"] - rows["arrival"],
    }


class Iterations:
    """Means and maxima over the iterations of one replica while measuring."""

    def __init__(self) -> None:
        self.running = self.waiting = 0.0  # requests times seconds
        self.most_running = self.most_waiting = 0
        self.least_free: int | None = None

    def add(self, rows: Any) -> None:
        """Take in `records.ITERATION` rows, one or more."""
        self.running += float((rows["running"] * rows["seconds"]).sum())
        self.waiting += float((rows["waiting"] * rows["seconds"]).sum())
        self.most_running = max(self.most_running, int(rows["running"].max()))
        self.most_waiting = max(self.most_waiting, int(rows["waiting"].max()))
        free = int(rows["free_blocks"].min())
        self.least_free = free if self.least_free is None else min(free, self.least_free)


class Collector:
    """The sinks of a run.

    Parameters
    ----------
    names, blocks, block_size
        Of each replica.
    objectives
        What a good request is.
    pools
        Of each replica, as `Scenario.pools`; None where there are none.
    """

    def __init__(
        self,
        names: list[str],
        blocks: list[int],
        block_size: list[int],
        objectives: Objectives,
        *,
        pools: list[str] | None = None,
    ) -> None:
        self._names, self._blocks, self._block_size = names, blocks, block_size
        self._pools = [""] * len(names) if pools is None else pools
        self.measuring = [False] * len(names)
        self.requests = Requests(objectives)
        self.completed = [0] * len(names)
        self.iterations = [Iterations() for _ in names]
        self.series = Series(sum(blocks))
        self.rejected: list[RejectedRequest] = []
        self.failed = 0
        self.left = 0  # requests, completed and rejected, over the whole run
        self.last_arrival = 0.0
        # Times from first to second tokens that came from another pool, as `State.gaps`.
        self.gaps = np.zeros(GAP_BINS, dtype=np.int64)

    def second_tokens(self, replica: int, seconds: FloatArray) -> None:
        """Take in times between the first and the second token, over two pools."""
        if self.measuring[replica]:
            self.gaps += gap_bins(seconds)

    def finished(self, replica: int, rows: Any) -> None:
        """Take in `records.LEFT` rows."""
        self.left += rows.size
        self.last_arrival = max(self.last_arrival, float(rows["arrival"].max()))
        self._reject(replica, rows[rows["status"] == REJECTED])
        if self.measuring[replica]:
            done = rows[rows["status"] == COMPLETED]
            self.completed[replica] += done.size
            self.requests.add(done)

    def _reject(self, replica: int, rows: Any) -> None:
        self.failed += rows.size
        block, blocks = self._block_size[replica], self._blocks[replica]
        for row in rows[: _NAMED - len(self.rejected)]:
            needed = -(-int(row["prompt"] + row["output"]) // block)
            text = (
                f"request {row['id']} with prompt {row['prompt']:,} and output {row['output']:,} "
                f"can never fit: it needs {needed:,} blocks of {block}, there are {blocks:,}"
            )
            self.rejected.append(
                RejectedRequest(
                    id=int(row["id"]),
                    replica=self._names[replica],
                    prompt=int(row["prompt"]),
                    output=int(row["output"]),
                    text=text,
                )
            )

    def logged(self, replica: int, rows: Any) -> None:
        """Take in `records.ITERATION` rows."""
        shown = rows
        if self._pools[replica] == "prefill":
            # What completes there goes on to the other pool: it is not done.
            shown = rows.copy()
            shown["completed"] = 0
        self.series.add(shown, self._blocks[replica])
        if self.measuring[replica] and rows.size:
            self.iterations[replica].add(rows)
