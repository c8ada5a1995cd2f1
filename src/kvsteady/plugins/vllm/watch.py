"""What surrounds vLLM's ``schedule()``: show the policy the requests, narrow, count."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

import numpy as np

from kvsteady.admission import COMPLETED, EVICTED, NO_LIMIT, Setup, View
from kvsteady.plugins.metrics import Metrics
from kvsteady.plugins.regulator import Regulator
from kvsteady.plugins.settings import Settings
from kvsteady.plugins.vllm.arrivals import Arrivals
from kvsteady.plugins.vllm.rows import RunningRows, WaitingRows, seen
from kvsteady.plugins.vllm.sharing import HEAD, Sharing
from kvsteady.plugins.vllm.versions import pause_of

P = ParamSpec("P")

# vLLM's names of the ends that say how long an output was; aborts and errors do not.
_COMPLETED = ("FINISHED_STOPPED", "FINISHED_LENGTH_CAPPED", "FINISHED_REPETITION")
_READY = ("WAITING", "PREEMPTED")
_LOADING = "WAITING_FOR_REMOTE_KVS"
_IDLE = "WAITING_FOR_STREAMING_REQ"


def _harmless(
    method: Callable[Concatenate[Watch, P], Any],
) -> Callable[Concatenate[Watch, P], Any]:
    """Step aside instead of raising: the engine goes on."""

    @wraps(method)
    def guarded(self: Watch, *args: P.args, **kwargs: P.kwargs) -> Any:
        if self.broken:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:  # whatever it is
            self.broken = True
            self.regulator.step_aside(f"it failed: {type(error).__name__}: {error}")
            self.show()
            return None

    return cast("Callable[Concatenate[Watch, P], Any]", guarded)


class Watch:
    """A regulator and a ledger beside one scheduler of vLLM.

    Requests that hold KV blocks while they wait (a load from elsewhere has ended, a streaming
    session has its next input) are not limited: what they hold is free only once they went on. They
    are counted as admissions, so that others wait for them.

    Parameters
    ----------
    scheduler
        vLLM's, made.
    settings
        Policy and mode.
    gate
        The attribute of the scheduler that closes admissions (`find_gate`).
    late
        Iterations after which the engine hears of what one has sampled.
    metrics
        Makes the metrics of a regulator, or None.
    """

    def __init__(
        self,
        scheduler: Any,
        settings: Settings,
        gate: str,
        *,
        late: int,
        metrics: Callable[[Regulator], Metrics | None] | None = None,
    ) -> None:
        self.gate = gate
        self.broken = False
        self.clock: Callable[[], float] = time.monotonic
        self._scheduler = scheduler
        self._pool = scheduler.kv_cache_manager.block_pool
        # With several groups of layers a token needs a block of each.
        self._groups = max(len(scheduler.kv_cache_config.kv_cache_groups), 1)
        self._block = int(scheduler.block_size)
        # One block is vLLM's null block.
        blocks = (int(self._pool.num_gpu_blocks) - 1) // self._groups
        self.regulator = Regulator(settings, Setup(blocks * self._block, self._block))
        self._longest = int(scheduler.max_model_len)
        # Looked up only where there is a cache, for a policy that looks at who runs.
        self._sharing: Sharing | None = None
        if scheduler.kv_cache_manager.enable_caching and self.regulator.policy.sees_running:
            self._sharing = Sharing(scheduler.kv_cache_manager, self._block)
        self._arrivals = Arrivals(lambda: self.clock() - self._begun)
        self._running = RunningRows(self._longest, self._shared_of, self._arrivals.of)
        by_priority = getattr(scheduler.policy, "name", "") == "PRIORITY"
        self._waiting = WaitingRows(self._longest, self._arrivals.of, by_priority=by_priority)
        self._speculative = int(getattr(scheduler, "num_spec_tokens", 0) or 0) > 0
        self._begun = self.clock()
        self._arrived = self._iterations = 0
        # Of this iteration: who ran before it, evictions before it, and the limit.
        self._ran = self._evicted = 0
        self._quota: int | None = None
        self._holders = 0
        # By request: who is in the middle of a prefill, and tokens that an eviction threw out.
        self._prefilling: dict[str, Any] = {}
        self._lost: dict[str, int] = {}
        self._memory, self._late = (self._block, blocks), late
        self._facts = np.asarray(self.regulator.view.facts.base)
        self._metrics = None if metrics is None else metrics(self.regulator)

    @property
    def keeps_metrics(self) -> bool:
        """Whether metrics could be made."""
        return self._metrics is not None

    @_harmless
    def before(self) -> int | None:
        """How far the gate may stand open in this iteration; None: as vLLM has it."""
        scheduler = self._scheduler
        self._ran, self._evicted = len(scheduler.running), self.regulator.ledger.evicted
        self._quota = None
        paused = pause_of(scheduler)
        if paused == 2 or not self._anybody():
            return None
        self._iterations += 1
        self._quota = self.regulator.limit(lambda: self._fill(paused > 0))
        if self._quota is None:
            return None
        sessions = int(scheduler.num_waiting_for_streaming_input)
        return self._ran + sessions + self._holders + self._quota

    @_harmless
    def after(self, decided: Any) -> None:
        """Take down what vLLM decided."""
        scheduler, ledger = self._scheduler, self.regulator.ledger
        came = scheduler.running[self._ran - (ledger.evicted - self._evicted) :]
        tokens = decided.num_scheduled_tokens
        resumed = self._count_admitted(came, tokens)
        middle = self._count_tokens(tokens, int(decided.total_num_scheduled_tokens))
        if self.regulator.why_aside is None:
            rows = self.regulator.view.waiting
            if came:
                self._waiting.admitted(came, rows)
                for request in came:
                    self._running.came(request)
            if self._speculative:
                self._running.distrust()
            else:
                self._running.gained(len(tokens) - middle, self._prefilling)
        self.regulator.settle(len(came), resumed)
        if self._quota is not None and len(came) > self._quota + self._holders:
            self.regulator.step_aside(
                f"vLLM admitted {len(came)} where {self._quota + self._holders} were allowed"
            )
        if self._metrics is None:
            return
        if scheduler.running:
            self._metrics.step()
        else:
            self.show()  # there may be no next iteration for long

    def show(self) -> None:
        """Bring the metrics up to date, if there are any."""
        if self._metrics is not None:
            self._metrics.update()

    @_harmless
    def arrived(self, request: Any, queued: bool) -> None:
        """Take down that a request came, into the ordinary queue or not."""
        self._arrived += 1
        self._arrivals.came(request)
        if queued:
            self._waiting.came(request, first=False, rows=self.regulator.view.waiting)

    @_harmless
    def evicting(self, request: Any) -> None:
        """Take down that a request is about to be preempted."""
        name = request.request_id
        self.regulator.ledger.evicted += 1
        self._lost[name] = int(request.num_computed_tokens)
        self._prefilling.pop(name, None)
        prompt, generated, limit, *_ = seen(request, self._longest)
        self.regulator.gone(EVICTED, prompt, generated, limit)
        self._gone(request)
        self._waiting.came(request, first=True, rows=self.regulator.view.waiting)

    @_harmless
    def leaving(self, request: Any) -> None:
        """Take down that a request has ended, however."""
        name = request.request_id
        self._prefilling.pop(name, None)
        self._lost.pop(name, None)
        self._arrivals.left(request)
        self._gone(request)
        self._waiting.left(request)
        if request.status.name in _COMPLETED:
            self.regulator.ledger.completed += 1
            prompt, _, limit, *_ = seen(request, self._longest)
            self.regulator.gone(COMPLETED, prompt, request.num_output_tokens, limit)

    def _gone(self, request: Any) -> None:
        self._running.left(request)
        if self._sharing is not None:
            self._sharing.left(request)

    def _shared_of(self, request: Any) -> int:
        return 0 if self._sharing is None else self._sharing.of_running(request)

    def _anybody(self) -> bool:
        scheduler = self._scheduler
        return bool(scheduler.running or scheduler.waiting or self._holding())

    def _holding(self) -> Sequence[Any]:
        """Who waits and holds KV blocks."""
        return getattr(self._scheduler, "kv_holding_waiting", ())

    def _fill(self, paused: bool) -> None:
        scheduler, ledger = self._scheduler, self.regulator.ledger
        holding = list(self._holding())
        ran = self._ran
        view = self.regulator.room_for(ran + len(holding))
        self._running.fill(view, scheduler.running)
        self._holders = idle = 0
        for at, request in enumerate(holding, ran):
            shared, arrived = self._shared_of(request), self._arrivals.of(request)
            view.running[at] = seen(request, self._longest, shared, arrived)
            self._holders += self._may_go_on(request)
            idle += request.status.name == _IDLE
        queued = 0 if paused else len(scheduler.waiting)
        shown = self._waiting.fill(view, scheduler.waiting) if queued else 0
        if self._sharing is not None:
            self._share(self._sharing, view, shown)
        ticks = self._iterations - 1
        # All at once: field by field costs several times as much.
        self._facts[0] = (
            ticks,
            ticks,
            self._arrivals.now(),  # read after the rows: nobody in them came later
            *self._memory,
            self._pool.get_num_free_blocks() // self._groups,
            ran + len(holding) - idle,
            min(queued, NO_LIMIT - 1),
            self._arrived,
            ledger.admitted,
            ledger.evicted,
            ledger.completed,
            1,  # the KV of a last token is never stored
            self._late,
            ran + len(holding),
            shown,
            0,  # the regulator knows who left
        )

    def _share(self, sharing: Sharing, view: View, shown: int) -> None:
        running = view.running[: self._ran]
        sharing.look_again(running, self._scheduler.running)
        if shown:
            usual = int(running["shared"].mean()) if self._ran else 0
            sharing.look_ahead(view.waiting[:shown], self._waiting.head(HEAD), usual)

    def _may_go_on(self, request: Any) -> bool:
        """Whether one who holds blocks may run in this iteration."""
        if request.status.name == _LOADING:
            arrived = getattr(self._scheduler, "finished_recving_kv_req_ids", ())
            return request.request_id in arrived
        return request.status.name in _READY

    def _count_admitted(self, came: Sequence[Any], tokens: Any) -> int:
        """Begin their prefills; returns how many were here before."""
        resumed = 0
        for request in came:
            name = request.request_id
            self._prefilling[name] = request
            resumed += request.num_preemptions > 0
            lost = self._lost.pop(name, 0)
            if lost:
                found = request.num_computed_tokens - tokens.get(name, 0)
                again = max(min(lost, request.num_tokens) - found, 0)
                self.regulator.ledger.recomputed += again
        return resumed

    def _count_tokens(self, tokens: Any, total: int) -> int:
        """Count prefilled and decoded tokens; returns how many are in the middle of a prefill and
        got some.
        """
        prefilled = middle = 0
        for name, request in list(self._prefilling.items()):
            many = tokens.get(name, 0)
            prefilled += many
            if request.num_computed_tokens < request.num_tokens:
                middle += many > 0
            else:
                del self._prefilling[name]
        self.regulator.ledger.prefilled += prefilled
        self.regulator.ledger.decoded += total - prefilled
        return middle
