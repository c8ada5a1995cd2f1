"""What a plug-in has seen and done, as counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Ledger:
    """Counts since the engine started, and the last decision.

    Attributes
    ----------
    steps
        Engine iterations that were looked at.
    limited
        Of these, with fewer admissions allowed than waited.
    held_back
        Admissions beyond what the policy allowed, which ``enforce`` would have put off: in
        ``shadow`` only.
    admitted, resumed, evicted, completed
        Requests; ``resumed`` are admissions after an eviction, and count as ``admitted`` too.
    prefilled, recomputed, decoded
        Tokens computed: of prompts and evicted requests, of these a second time, and generated.
    overruled
        Admissions that the policy would not have allowed, because nobody ran or `Settings.patience`
        was over.
    quota
        The last answer: how many may be admitted; -1 before the first.
    running, waiting, blocks, free
        Requests and KV blocks at the last decision.
    """

    steps: int = 0
    limited: int = 0
    held_back: int = 0
    admitted: int = 0
    resumed: int = 0
    evicted: int = 0
    completed: int = 0
    prefilled: int = 0
    recomputed: int = 0
    decoded: int = 0
    overruled: int = 0
    quota: int = -1
    running: int = 0
    waiting: int = 0
    blocks: int = 0
    free: int = 0

    @property
    def recompute_tax(self) -> float:
        """Share of prefilled tokens that were computed before; 0 where nothing was prefilled."""
        return self.recomputed / self.prefilled if self.prefilled else 0.0

    @property
    def recomputed_share(self) -> float:
        """Share of all computed tokens that were computed before."""
        computed = self.prefilled + self.decoded
        return self.recomputed / computed if computed else 0.0

    def summary(self) -> str:
        """One line for the log of a shadow: what was seen, and what the policy would have done."""
        return (
            f"in {self.steps:,} iterations the policy would have put off {self.held_back:,} of "
            f"{self.admitted:,} admissions; {self.evicted:,} evictions so far cost "
            f"{self.recomputed:,} recomputed tokens, {self.recompute_tax:.1%} of all prefill"
        )
