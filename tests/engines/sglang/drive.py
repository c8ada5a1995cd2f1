"""The real scheduling classes of SGLang, stepped as its event loop does, with a made-up model.

Needs SGLang (`tests/engines/requirements/sglang.txt`); no model, no GPU, no network. The scheduler
is built without its constructor, which wants both: what `get_next_batch_to_run` and the processing
of results read is put there by hand, everything they call is SGLang's.
"""

from __future__ import annotations

import logging
from array import array
from collections import deque
from types import SimpleNamespace
from typing import Any

from engines.sglang import stubs

stubs.install()  # before the imports below, hence E402
# ruff: noqa: E402

import torch
from sglang.srt.disaggregation.utils import DisaggregationMode
from sglang.srt.environ import envs
from sglang.srt.managers import schedule_batch
from sglang.srt.managers.schedule_batch import Req, ScheduleBatch
from sglang.srt.managers.schedule_policy import SchedulePolicy
from sglang.srt.managers.scheduler import Scheduler
from sglang.srt.managers.scheduler_components.batch_result_processor import (
    SchedulerBatchResultProcessor,
)
from sglang.srt.managers.scheduler_components.new_token_ratio_tracker import NewTokenRatioTracker
from sglang.srt.managers.utils import GenerationBatchResult
from sglang.srt.mem_cache.allocator.paged import PagedTokenToKVPoolAllocator
from sglang.srt.mem_cache.allocator.token import TokenToKVPoolAllocator
from sglang.srt.mem_cache.cache_init_params import CacheInitParams
from sglang.srt.mem_cache.memory_pool import ReqToTokenPool
from sglang.srt.mem_cache.unified_cache.component_type import ComponentType
from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache
from sglang.srt.runtime_context import get_context
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang.srt.speculative.spec_info import SpeculativeAlgorithm

from reference.engines.sglang import Arrival, Knobs, Step

logging.getLogger("sglang").setLevel(logging.ERROR)
EOS = 1
CONTEXT = 1 << 15


class _Sampling:
    """Stands for `SamplingBatchInfo`: tensors for the sampler, which does not run here."""

    penalizer_orchestrator = SimpleNamespace(is_required=False)

    @classmethod
    def from_schedule_batch(cls, *_: Any) -> _Sampling:
        return cls()

    def filter_batch(self, *_: Any) -> None: ...

    def merge_batch(self, *_: Any) -> None: ...


schedule_batch.SamplingBatchInfo = _Sampling


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _same(batch: Any, **_: Any) -> Any:
    return batch


class Driver:
    """One scheduler; `step()` is one iteration of its event loop."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.publish()
        self.arrivals: list[Arrival] = []
        self.retracted: list[int] = []
        self.aborted: list[int] = []
        s = self.scheduler = Scheduler.__new__(Scheduler)
        self.build_memory(s)
        self.build_options(s)
        self.build_parts(s)
        s.waiting_queue, s.running_batch = [], ScheduleBatch(reqs=[], batch_is_full=False)
        s.last_batch = s.chunked_req = s._pending_chunked_abort_req = None
        s.result_queue = deque()
        s.policy = SchedulePolicy(knobs.schedule_policy, s.tree_cache, False, False, False)
        s.new_token_ratio_tracker = NewTokenRatioTracker.from_config()

    def publish(self) -> None:
        """Put the options where SGLang reads them."""
        k = self.knobs
        envs.SGLANG_INIT_NEW_TOKEN_RATIO.set(k.init_new_token_ratio)
        get_context().override_server_args(
            device="cpu",
            attention_backend="torch_native",
            page_size=k.page_size,
            max_running_requests=k.max_running_requests,
            pp_max_micro_batch_size=k.max_running_requests,
            max_prefill_tokens=k.max_prefill_tokens,
            chunked_prefill_size=k.chunked_prefill_size,
            enable_mixed_chunk=k.enable_mixed_chunk,
            prefill_max_requests=k.prefill_max_requests,
            prefill_decode_interval=k.prefill_decode_interval,
            prefill_decode_interval_min_bs=k.prefill_decode_interval_min_bs,
            schedule_conservativeness=k.schedule_conservativeness,
            schedule_policy=k.schedule_policy,
            disable_radix_cache=k.disable_radix_cache,
            disable_overlap_schedule=True,
        ).install()

    def build_memory(self, s: Any) -> None:
        k = self.knobs
        common = {"dtype": torch.float16, "device": "cpu", "kvcache": None, "need_sort": False}
        if k.page_size == 1:
            s.token_to_kv_pool_allocator = TokenToKVPoolAllocator(k.tokens, **common)
        else:
            s.token_to_kv_pool_allocator = PagedTokenToKVPoolAllocator(
                k.tokens, k.page_size, **common
            )
            s.token_to_kv_pool_allocator.use_triton_kernels = False
        s.req_to_token_pool = ReqToTokenPool(
            size=k.max_running_requests,
            max_context_len=min(CONTEXT, k.tokens + 8),
            device="cpu",
            enable_memory_saver=False,
        )
        s.tree_cache = UnifiedRadixCache(
            CacheInitParams(
                disable=k.disable_radix_cache,
                req_to_token_pool=s.req_to_token_pool,
                token_to_kv_pool_allocator=s.token_to_kv_pool_allocator,
                page_size=k.page_size,
                tree_components=(ComponentType.FULL,),
                tree_core_backend="python",
            )
        )

    def build_options(self, s: Any) -> None:
        k = self.knobs
        s.page_size, s.max_total_num_tokens = k.page_size, k.tokens
        s.max_prefill_tokens, s.max_running_requests = k.max_prefill_tokens, k.max_running_requests
        s.max_req_len = min(CONTEXT, k.tokens) - 1
        s.chunked_prefill_size = k.chunked_prefill_size if k.chunked_prefill_size > 0 else None
        s.is_mixed_chunk = s.chunked_prefill_size is not None and k.enable_mixed_chunk
        s.prefill_decode_interval = k.prefill_decode_interval
        s.prefill_decode_interval_min_bs = k.prefill_decode_interval_min_bs
        s._prefill_decode_interval_remaining = 0
        s.enable_overlap = s.enable_skip_finishing_decode = False
        s.disaggregation_mode = DisaggregationMode.NULL
        s.spec_algorithm = SpeculativeAlgorithm.from_string(None)
        s.max_new_tokens_limit = s.sliding_window_size = s.truncation_align_size = None
        s.kv_shard_widening = s.tp_size = 1
        s.is_generation = True
        s.priority_scheduling_preemption_threshold = s.max_prefill_bs = 0
        s.processed_tokens_counter = s.forward_ct = 0
        for option in (
            "dllm_config",
            "prefill_delayer",
            "min_free_slots_delayer",
            "dynamic_chunk_sizer",
            "hisparse_coordinator",
            "decode_offload_manager",
            "lora_drainer",
            "draft_worker",
            "mm_receiver",
            "scheduler_stage_metrics",
        ):
            setattr(s, option, None)
        for option in (
            "require_mlp_sync",
            "enable_hisparse",
            "enable_priority_preemption",
            "enable_priority_scheduling",
            "enable_continuous_input_polling",
            "enable_pdmux",
            "is_hybrid_ssm",
            "is_hybrid_swa",
            "enable_lora",
            "enable_hicache_storage",
            "enable_lmcache",
            "enable_hierarchical_cache",
            "enable_unified_cache_external_linker",
            "enable_overlap_mlx",
        ):
            setattr(s, option, False)

    def build_parts(self, s: Any) -> None:
        """What surrounds the scheduling: silent."""
        s.device = "cpu"
        s.model_config = SimpleNamespace(
            vocab_size=1 << 30,
            is_encoder_decoder=False,
            think_end_ids=None,
            self_opened_think_start_ids=None,
        )
        s.grammar_manager = SimpleNamespace(
            has_waiting_grammars=lambda: False,
            process_req_with_grammar=lambda _: False,
            grammar_queue=(),
            abort_requests=_nothing,
        )
        s.beam_coordinator = SimpleNamespace(
            pending_member_rows=lambda _: 0, commit_decode=lambda _: set(), retire_group=_nothing
        )
        s.dp_attn_adapter = SimpleNamespace(
            maybe_prepare_mlp_sync_batch=_same, maybe_convert_decode_to_extend=_same
        )
        s.ngram_embedding_manager = SimpleNamespace(prepare_for_forward=_same)
        runner = SimpleNamespace(attn_backend=None, prefill_aware_swa=False)
        s.tp_worker = SimpleNamespace(model_runner=runner)
        s.load_inquirer = SimpleNamespace(_get_num_pending_tokens=_nothing)
        s.metrics_reporter = SimpleNamespace(
            enable_metrics=False,
            num_retracted_reqs=0,
            num_generated_tokens=0,
            forward_ct_decode=0,
            report_decode_stats=_nothing,
            report_prefill_stats=_nothing,
        )
        s.send_abort_output = lambda _, req: self.aborted.append(int(req.rid))
        s.batch_result_processor = SchedulerBatchResultProcessor(
            is_generation=True,
            disaggregation_mode=s.disaggregation_mode,
            enable_overlap=s.enable_overlap,
            enable_overlap_mlx=False,
            model_config=s.model_config,
            token_to_kv_pool_allocator=s.token_to_kv_pool_allocator,
            tree_cache=s.tree_cache,
            hisparse_coordinator=None,
            req_to_token_pool=s.req_to_token_pool,
            decode_offload_manager=None,
            metrics_collector=None,
            metrics_reporter=s.metrics_reporter,
            draft_worker=None,
            model_worker=s.tp_worker,
            logprob_result_processor=None,
            output_streamer=SimpleNamespace(stream_output=_nothing),
            beam_coordinator=s.beam_coordinator,
            abort_request=_nothing,
        )
        queue = s._add_request_to_queue

        def noted(req: Req, is_retracted: bool = False) -> None:
            if is_retracted:
                self.retracted.append(int(req.rid))
            queue(req, is_retracted)

        s._add_request_to_queue = noted
        s._set_or_validate_priority = lambda _: True
        s._abort_on_queued_limit = lambda _: False
        s._prefetch_kvcache = _nothing

    def add(self, arrival: Arrival, **sampling: Any) -> None:
        number = len(self.arrivals)
        self.arrivals.append(arrival)
        ids = array("q", arrival.token_ids[: arrival.prompt] or [7] * arrival.prompt)
        params = SamplingParams(max_new_tokens=arrival.max_new, **sampling)
        params.normalize(None)
        req = Req(str(number), "", ids, params, eos_token_ids={EOS}, vocab_size=1 << 30)
        self.scheduler.init_req_max_new_tokens(req)
        assert not req.to_finish, "the prompt does not fit"
        if not self.scheduler.grammar_manager.process_req_with_grammar(req):
            self.scheduler._add_request_to_queue(req)

    def sampled(self, batch: ScheduleBatch) -> list[int]:
        """The next token of each row: the end-of-sequence token where the output is complete."""
        tokens = []
        for req in batch.reqs:
            arrival = self.arrivals[int(req.rid)]
            at = len(req.output_ids)
            if at + 1 == arrival.output:
                tokens.append(EOS)
            else:
                tokens.append(arrival.token_ids[arrival.prompt + at] if arrival.token_ids else 7)
        return tokens

    def result(self, batch: ScheduleBatch) -> GenerationBatchResult:
        return GenerationBatchResult(next_token_ids=torch.tensor(self.sampled(batch)))

    def process(self, batch: ScheduleBatch) -> None:
        processor = self.scheduler.batch_result_processor
        if batch.forward_mode.is_decode():
            processor.process_batch_result_decode(batch, self.result(batch))
        else:
            processor.process_batch_result_prefill(batch, self.result(batch))

    def step(self) -> Step:
        s = self.scheduler
        self.retracted, self.aborted = [], []
        plan = s.get_next_batch_to_run(running_batch=s.running_batch, last_batch=s.last_batch)
        s.running_batch, batch = plan.running_batch, plan.batch_to_run
        kind, tokens, finished = "idle", (), ()
        if batch:
            kind, tokens = self.described(batch)
            s.forward_ct += 1
            self.process(batch)
            finished = tuple(int(r.rid) for r in batch.reqs if r.finished())
        elif s.running_batch.is_empty() and s.chunked_req is None and not s.waiting_queue:
            s.new_token_ratio_tracker.reset()  # Scheduler.on_idle
        s.last_batch = batch
        return Step(
            kind=kind,
            tokens=tokens,
            retracted=tuple(self.retracted),
            aborted=tuple(self.aborted),
            finished=finished,
            free=s.token_to_kv_pool_allocator.available_size(),
            evictable=s.tree_cache.evictable_size(),
            ratio=s.new_token_ratio_tracker.current,
            chunked=None if s.chunked_req is None else int(s.chunked_req.rid),
            running=self.order(batch),
            waiting=tuple(int(r.rid) for r in s.waiting_queue),
        )

    def order(self, batch: ScheduleBatch | None) -> tuple[int, ...]:
        """The running requests as the next iteration will find them merged."""
        s = self.scheduler
        reqs = list(s.running_batch.reqs)
        if batch is not None and batch.forward_mode.is_extend():
            reqs += batch.reqs
        return tuple(int(r.rid) for r in reqs if not r.finished() and r is not s.chunked_req)

    def described(self, batch: ScheduleBatch) -> tuple[str, tuple[tuple[int, int], ...]]:
        numbers = [int(r.rid) for r in batch.reqs]
        if batch.forward_mode.is_decode():
            return "decode", tuple((number, 1) for number in numbers)
        kind = "mixed" if batch.forward_mode.is_mixed() else "prefill"
        return kind, tuple(zip(numbers, batch.extend_lens, strict=True))
