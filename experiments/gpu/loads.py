"""What the experiments serve: requests that all wait at the start, drawn from kvsteady's laws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.workload import Workload
from kvsteady.workload.presets import preset


@dataclass(frozen=True)
class Load:
    """A law of lengths, and how many requests of it.

    Attributes
    ----------
    name, law, requests
        What, and how much of it.
    kv_tokens, page
        Memory, so that some hundred requests run at once and most wait.
    max_tokens
        What engine and policy are told of outputs; None: each one's output.
    """

    name: str
    law: Workload
    requests: int
    kv_tokens: int
    page: int
    max_tokens: int | None = None

    def lengths(self, seed: int) -> list[tuple[int, int]]:
        """Prompt and output of each request: in turn by their shares, or drawn."""
        law, rng = self.law, np.random.default_rng(seed)
        shares = law.tickets / law.tickets.sum()
        if law.random:
            rows = rng.choice(len(shares), self.requests, p=shares)
        else:
            each = np.diff(np.round(np.cumsum([0, *shares]) * self.requests)).astype(int)
            rows = rng.permutation(np.repeat(np.arange(len(shares)), each))
        most = self.max_tokens or 1 << 30
        return [(int(law.prompt[row]), min(int(law.output[row]), most)) for row in rows]


def fixed(toy: bool) -> Load:
    """Every request alike: where greedy admission cycles."""
    if toy:
        return Load("fixed", Workload.fixed(16, 32), 200, 960, 4)
    return Load("fixed", Workload.fixed(64, 256), 800, 51_200, 16)


def tiered(toy: bool) -> Load:
    """Three known lengths in equal shares."""
    if toy:
        return Load("tiered", Workload.classes([(16, 16), (16, 32), (16, 48)]), 200, 960, 4)
    return Load("tiered", Workload.classes([(64, 128), (64, 256), (64, 384)]), 800, 51_200, 16)


def traced(toy: bool) -> Load:
    """Azure's conversations: outputs that nobody knows beforehand, up to max_tokens."""
    law = preset("azure-conv")
    if toy:
        small = Workload.from_counts(
            np.maximum(law.prompt // 64, 1),
            np.maximum(law.output // 8, 1),
            law.tickets,
            random=True,
        )
        return Load("traced", small, 200, 1920, 4, max_tokens=128)
    return Load("traced", law, 600, 102_400, 16, max_tokens=1000)
