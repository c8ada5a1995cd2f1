"""The fluid model of theory section 2, stage by stage, straight from its three sentences.

``x[k, i]`` requests of class k have generated i tokens; each needs ``l0_k + i + 1`` tokens in the
coming iteration. Nothing is kept from one iteration to the next but ``x``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Memory counts as full from M (1 + 1e-11) on: the model leaves that much to rounding, because an
# eviction of 1e-16 requests would stop admission for a whole iteration.
SLACK = 1e-11


@dataclass
class Row:
    admitted: float
    evicted: float
    completed: float
    memory: float
    running: float
    evicted_tokens: float
    wasted_tokens: float

    def array(self) -> np.ndarray:
        return np.array(list(vars(self).values()))


def needs(prompt: np.ndarray, longest: int) -> np.ndarray:
    return np.array([[l0 + i + 1 for i in range(longest)] for l0 in prompt], dtype=float)


def step(
    x: np.ndarray,
    prompt: np.ndarray,
    output: np.ndarray,
    share: np.ndarray,
    capacity: float,
    allowance: float = np.inf,
) -> tuple[Row, np.ndarray]:
    """One iteration: what happened, and the state before the next one."""
    x = np.array(x, dtype=float)
    classes, longest = x.shape
    need = needs(prompt, longest)

    # Evict: keep the most advanced ages while they fit.
    evicted = np.zeros_like(x)
    if (x * need).sum() > capacity * (1 + SLACK):
        room = float(capacity)
        for age in reversed(range(longest)):
            level = float((x[:, age] * need[:, age]).sum())
            kept = 1.0 if level <= room else room / level
            evicted[:, age] = x[:, age] * (1 - kept)
            x[:, age] *= kept
            room = max(0.0, room - level * kept)

    # Admit: only where nothing was evicted.
    admitted = 0.0
    if not evicted.any():
        free = capacity - float((x * need).sum())
        admitted = max(0.0, min(free / float((share * (prompt + 1)).sum()), allowance))
        x[:, 0] += admitted * share
    memory, running = float((x * need).sum()), float(x.sum())

    # Execute: everyone gains a token; who has them all completes.
    after = np.zeros_like(x)
    completed = 0.0
    for k in range(classes):
        for age in range(output[k]):
            if age + 1 == output[k]:
                completed += x[k, age]
            else:
                after[k, age + 1] = x[k, age]

    ages = np.arange(longest)
    held = need - 1  # an evicted request held its prompt and the tokens generated so far
    row = Row(
        admitted,
        float(evicted.sum()),
        completed,
        memory,
        running,
        float((evicted * held).sum()),
        float((evicted * ages).sum()),
    )
    return row, after
