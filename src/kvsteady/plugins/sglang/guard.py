"""A regulator around one SGLang scheduler."""

from __future__ import annotations

from typing import Any

from kvsteady.admission import COMPLETED, EVICTED, Setup
from kvsteady.plugins.metrics import Metrics, metrics_of
from kvsteady.plugins.regulator import Regulator
from kvsteady.plugins.settings import Settings
from kvsteady.plugins.sglang.arrivals import Arrivals, now
from kvsteady.plugins.sglang.head import Head
from kvsteady.plugins.sglang.residents import Residents
from kvsteady.plugins.sglang.sharing import Sharing
from kvsteady.plugins.sglang.supported import replica_of


class Guard:
    """Shows a policy SGLang's requests, and takes down what SGLang does: `decide`, `settle`.

    Parameters
    ----------
    scheduler
        SGLang's.
    settings
        As given in the environment.

    Raises
    ------
    InputError
        The policy cannot start.
    """

    def __init__(self, scheduler: Any, settings: Settings) -> None:
        self._scheduler = scheduler
        setup = Setup(scheduler.max_total_num_tokens, scheduler.page_size, 1)
        self.regulator = Regulator(settings, setup)
        tree = scheduler.tree_cache
        looks = self.regulator.policy.sees_running and not getattr(tree, "disable", False)
        self._sharing = Sharing(tree) if looks else None
        arrivals = Arrivals()
        rows = scheduler.req_to_token_pool.size + 1
        self._residents = Residents(rows, arrivals, self._sharing)
        self._head = Head(arrivals)
        self._batch: Any = None
        self._asked = self._decoded = self._failed = False
        self._ticks = self._iteration = 0
        self._metrics = self._make_metrics()

    def decide(self, batch: Any, anybody: bool) -> tuple[int | None, bool]:
        """How many may enter, None: as many as SGLang lets; and whether its reservation holds.

        ``batch`` holds all who decode; ``anybody``: whether there is one here, or waiting.
        """
        self._asked = anybody
        self._batch = batch
        self._take_leave(batch)
        if self._sharing is not None:
            self._sharing.before()
        if not anybody:
            return None, True  # an idle engine spins
        quota = self.regulator.limit(self._fill)
        # Where the forecast failed the engine's own reservation holds, until a decode goes well.
        return quota, quota is None or self._failed

    def settle(self, batch: Any) -> None:
        """Take down what the engine does: ``batch`` is what it runs next, or None."""
        ledger, admitted, resumed = self.regulator.ledger, 0, 0
        self._decoded = False
        if batch is not None and batch.forward_mode.is_decode():
            self._decoded = True
            self._ticks += 1
            ledger.decoded += len(batch.reqs)
        elif batch is not None and batch.forward_mode.is_extend():
            beside = len(batch.decoding_reqs or ())
            admitted, resumed = self._residents.admit(batch, len(batch.reqs) - beside, ledger)
            self._ticks += beside > 0
            ledger.decoded += beside
        if self._asked:
            self._iteration += 1
            self.regulator.settle(admitted, resumed)
            if self._metrics is not None:
                self._metrics.step()

    def step_aside(self, why: str) -> None:
        """Ask no more, and let the metrics say so."""
        self.regulator.step_aside(why)
        if self._metrics is not None:
            self._metrics.update()

    # -- what the policy is shown -------------------------------------------------------------

    def _take_leave(self, batch: Any) -> None:
        """Tell of who left since the last iteration."""
        regulator, evicted = self.regulator, False
        ledger = regulator.ledger
        for req in self._residents.look(batch, self._scheduler.chunked_req):
            how = COMPLETED
            if not req.finished():
                how, evicted = EVICTED, True
                ledger.evicted += 1
                self._residents.evict(req)
            elif type(req.finished_reason).__name__ == "FINISH_ABORT":
                continue  # says nothing of how long outputs are
            else:
                ledger.completed += 1
            regulator.gone(
                how,
                len(req.origin_input_ids),
                len(req.output_ids),
                req.sampling_params.max_new_tokens,
            )
        if evicted:
            self._failed = True
        elif self._decoded:
            self._failed = False

    def _fill(self) -> None:
        scheduler, batch, ledger = self._scheduler, self._batch, self.regulator.ledger
        running = len(batch.reqs) + (scheduler.chunked_req is not None)
        view = self.regulator.room_for(running)
        facts, page = view.facts, scheduler.page_size
        queue = self._in_order()
        facts["iteration"], facts["ticks"] = self._iteration, self._ticks
        facts["block"], facts["blocks"] = page, scheduler.max_total_num_tokens // page
        tokens = scheduler.token_to_kv_pool_allocator.available_size()
        facts["free"] = (tokens + scheduler.tree_cache.evictable_size()) // page
        facts["running"], facts["waiting"] = running, len(queue)
        facts["admitted"], facts["evicted"] = ledger.admitted, ledger.evicted
        facts["completed"] = ledger.completed
        first = ledger.admitted - ledger.resumed
        facts["arrived"] = first + len(queue) - self._residents.evicted
        # With overlap a result is processed while the next batch runs.
        facts["unwritten"], facts["late"] = 1, int(scheduler.enable_overlap)
        facts["shown_running"] = shared = 0
        if self.regulator.policy.sees_running:
            many = facts["shown_running"] = self._residents.show(view, batch)
            if self._sharing is not None and many:
                shared = int(view.running["shared"][:many].mean())
        facts["shown_waiting"] = self._head.show(view, queue, shared)
        facts["now"] = now()  # after the rows: nobody in them came later

    def _in_order(self) -> list[Any]:
        """The queue as this iteration's prefill will see it.

        Other orders than by arrival and by priority depend on the cache; there it is taken as
        the last prefill left it.
        """
        scheduler = self._scheduler
        queue: list[Any] = scheduler.waiting_queue
        if scheduler.enable_priority_scheduling and scheduler.policy.policy.value == "fcfs":
            queue = list(queue)
            scheduler.policy._sort_by_priority_and_fcfs(queue, scheduler.policy.priority_sign)
        return queue

    # -- what the operator is told ------------------------------------------------------------

    def _make_metrics(self) -> Metrics | None:
        reporter = self._scheduler.metrics_reporter
        if not (self.regulator.settings.metrics and reporter.enable_metrics):
            return None
        return metrics_of(self.regulator, engine="sglang", rank=replica_of())
