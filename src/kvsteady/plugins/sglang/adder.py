"""SGLang's ``PrefillAdder`` with a policy's limit, and no reservation for who runs.

Nothing of SGLang's is copied: what is overridden answers for itself, or asks the original.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def regulated_adder(original: type, gate: Any) -> type:
    """A subclass of SGLang's adder that keeps to a gate's ``quota``.

    ``gate`` has ``quota``, requests that may be admitted in this pass; ``reserves``, whether
    SGLang's own reservation holds; and ``may_preempt``, whether a full batch may still trade a
    running request for one of higher priority.
    """
    other = import_module("sglang.srt.managers.schedule_policy").AddReqResult.OTHER
    parts = {"gate": gate, "other": other}
    result: type = type("RegulatedPrefillAdder", (_Regulated, original), parts)
    return result


class _Regulated:
    gate: Any
    other: Any
    can_run_list: list[Any]
    req_states: Any
    running_batch: Any
    _adding = False
    _continued = 0  # 1 where a chunked prefill goes on, which is no admission

    def budget_state(self) -> Any:
        """The engine's verdict; beyond the quota, "other reasons to stop" for who comes next.

        Not "no token": that would set the sticky ``batch_is_full``, and shut the door until
        somebody leaves.
        """
        if not self._adding and self._is_spent():
            return self.other
        return super().budget_state()  # type: ignore[misc]

    def add_one_req(self, req: Any, *args: Any, **named: Any) -> Any:
        """The engine's own; it asks for the verdict on the budget that it left behind."""
        self._adding = True
        try:
            return super().add_one_req(req, *args, **named)  # type: ignore[misc]
        finally:
            self._adding = False

    def add_one_req_ignore_eos(self, req: Any) -> Any:
        """The engine's own, which forecasts all who run with nothing to spare: here, only ``req``.

        The policy made the forecast.
        """
        if not self.gate.reserves:
            self.req_states = []
        return super().add_one_req_ignore_eos(req)  # type: ignore[misc]

    def add_chunked_req(self, req: Any) -> Any:
        """The engine's own; a prefill that was begun is not held up."""
        rest = super().add_chunked_req(req)  # type: ignore[misc]
        self._continued = len(self.can_run_list)
        return rest

    def _get_running_request_total_token_offset(self, req: Any) -> Any:
        """Nothing is reserved for who runs, in place of a share of its max_tokens."""
        if not self.gate.reserves:
            return 0
        return super()._get_running_request_total_token_offset(req)  # type: ignore[misc]

    def _is_spent(self) -> bool:
        if len(self.can_run_list) - self._continued < self.gate.quota:
            return False
        return not self.gate.may_preempt(self.running_batch, len(self.can_run_list))
