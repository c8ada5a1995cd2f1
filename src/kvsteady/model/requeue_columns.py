"""What is recorded of a run besides, where evicted requests keep their tokens."""

from __future__ import annotations

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model import fluid, requeue
from kvsteady.model.system import Eviction


class RequeueColumns:
    """Names of the columns after the seventh, and what follows from them.

    Each raises `InputError` under `Eviction.RESTART`, where nobody is re-admitted with tokens.
    """

    rows: FloatArray
    eviction: Eviction

    def _column(self, number: int) -> FloatArray:
        if self.eviction is Eviction.RESTART:
            raise InputError(
                "not recorded under restart: evicted requests re-enter as new",
                field="eviction",
                allowed="resume, swap",
            )
        return self.rows[:, number]

    @property
    def resumed(self) -> FloatArray:
        """Requests re-admitted in each iteration; they count in ``admitted`` too."""
        return self._column(requeue.RESUMED)

    @property
    def resumed_tokens(self) -> FloatArray:
        """KV tokens, prompt and generated, that those had lost and get back."""
        return self._column(requeue.RESUMED_TOKENS)

    @property
    def prompt_tokens(self) -> FloatArray:
        """Prompt tokens of the requests admitted for the first time in each iteration."""
        return self._column(requeue.PROMPT_TOKENS)

    @property
    def evicted_waiting(self) -> FloatArray:
        """Evicted requests that wait during each iteration."""
        return self._column(requeue.WAITING)

    @property
    def recomputed_tokens(self) -> FloatArray:
        """Tokens prefilled again in each iteration; none under `Eviction.SWAP`."""
        again = self.resumed_tokens
        return np.zeros_like(again) if self.eviction is Eviction.SWAP else again

    @property
    def prefilled_tokens(self) -> FloatArray:
        """Tokens prefilled in each iteration, for the first time and again."""
        return self.prompt_tokens + self.recomputed_tokens

    @property
    def swapped_tokens(self) -> FloatArray:
        """Tokens moved to host memory and back in each iteration; none under `Eviction.RESUME`."""
        both = self.resumed_tokens + self.rows[:, fluid.EVICTED_TOKENS]
        return both if self.eviction is Eviction.SWAP else np.zeros_like(both)

    @property
    def recompute_tax(self) -> float:
        """Recomputed tokens over all prefilled ones, in the recorded rows; 0 if none were."""
        prefilled = self.prefilled_tokens.sum()
        return float(self.recomputed_tokens.sum() / prefilled) if prefilled else 0.0
