"""The real scheduler of vLLM, stepped as its own tests do: schedule, a made-up output, update.

Needs vLLM (`tests/engines/requirements/vllm.txt`); no model, no GPU, no network.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["VLLM_NO_USAGE_STATS"] = "1"

import torch
from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from kvsteady.plugins.vllm import SteadyScheduler
from reference.engines.vllm import Arrival, Knobs, Step
from vllm_runs import Case

logging.getLogger("vllm").setLevel(logging.ERROR)  # it advises block sizes for a CPU's sake
MAX_MODEL_LEN = 4096
STOP = 1023  # a token that ends a request before its max_tokens
MODEL = {  # what the configuration classes read; no weights are ever made
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 1024,
    "max_position_embeddings": MAX_MODEL_LEN,
    "torch_dtype": "float32",
}


class Driver:
    """One scheduler over `blocks` usable blocks; `folder` is where config.json is written.

    `step()` is one iteration. With asynchronous scheduling the engine schedules an iteration before
    it hears what the one before has sampled; `finished` then is what that one completed.
    ``kvsteady`` are the plug-in's settings; without, the scheduler is vLLM's own. ``slack`` is how
    far max_tokens lies beyond the outputs.
    """

    def __init__(
        self,
        folder: Path,
        knobs: Knobs,
        blocks: int,
        block: int,
        *,
        prefix_caching: bool = False,
        kvsteady: Mapping[str, Any] | None = None,
        slack: int = 0,
    ) -> None:
        self.knobs, self.block, self.slack = knobs, block, slack
        (folder / "config.json").write_text(json.dumps(MODEL))
        config = self.config(str(folder), prefix_caching)
        # On a CPU vLLM schedules synchronously; its asynchronous scheduler needs no GPU either.
        config.scheduler_config.async_scheduling = knobs.async_scheduling
        count = blocks + 1  # block 0 is vLLM's null block
        config.cache_config.num_gpu_blocks = count
        spec = FullAttentionSpec(block_size=block, num_kv_heads=1, head_size=1, dtype=torch.float32)
        scheduler: Any = AsyncScheduler if knobs.async_scheduling else Scheduler
        if kvsteady is not None:
            scheduler = SteadyScheduler
            config.additional_config = {"kvsteady": dict(kvsteady)}
        self.scheduler = scheduler(
            vllm_config=config,
            kv_cache_config=KVCacheConfig(
                num_blocks=count,
                kv_cache_tensors=[],
                kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
            ),
            structured_output_manager=StructuredOutputManager(config),
            block_size=block,
            log_stats=False,
        )
        self.hasher = None
        if prefix_caching:
            init_none_hash(sha256)
            self.hasher = get_request_block_hasher(block, sha256)
        self.arrivals: list[Arrival] = []
        self.in_flight: list[tuple[Any, ModelRunnerOutput]] = []

    def config(self, folder: str, prefix_caching: bool) -> VllmConfig:
        k = self.knobs
        return VllmConfig(
            model_config=ModelConfig(
                model=folder,
                tokenizer=folder,
                skip_tokenizer_init=True,
                dtype="float32",
                seed=0,
                max_model_len=MAX_MODEL_LEN,
            ),
            scheduler_config=SchedulerConfig(
                max_model_len=MAX_MODEL_LEN,
                is_encoder_decoder=False,
                max_num_seqs=k.max_num_seqs,
                max_num_batched_tokens=k.max_num_batched_tokens,
                max_num_scheduled_tokens=k.max_num_scheduled_tokens,
                max_num_active_seqs=k.max_num_active_seqs,
                long_prefill_token_threshold=k.long_prefill_token_threshold,
                long_prefill_token_threshold_adaptive=k.long_prefill_token_threshold_adaptive,
                enable_chunked_prefill=k.enable_chunked_prefill,
                policy=k.policy,
                scheduler_reserve_full_isl=k.scheduler_reserve_full_isl,
                watermark=k.watermark,
                async_scheduling=k.async_scheduling,
            ),
            cache_config=CacheConfig(
                block_size=self.block,
                gpu_memory_utilization=0.9,
                cache_dtype="auto",
                enable_prefix_caching=prefix_caching,
            ),
            device_config=DeviceConfig("cpu"),
        )

    def add(self, arrival: Arrival) -> None:
        number = len(self.arrivals)
        self.arrivals.append(arrival)
        prompt = list(arrival.token_ids[: arrival.prompt]) or [1] * arrival.prompt
        self.scheduler.add_request(
            Request(
                request_id=f"{number:08d}",  # of equal priority and arrival, the smaller goes first
                prompt_token_ids=prompt,
                sampling_params=SamplingParams(
                    max_tokens=arrival.output + self.slack,
                    ignore_eos=True,
                    stop_token_ids=[STOP] if self.slack else None,
                ),
                pooling_params=None,
                arrival_time=float(arrival.step),
                priority=arrival.priority,
                block_hasher=self.hasher,
            )
        )

    def step(self) -> Step:
        s = self.scheduler
        decided = s.schedule()
        free = s.kv_cache_manager.block_pool.get_num_free_blocks()
        # Under the newer model runner vLLM lists the resumed among the new.
        entered = [r.req_id for r in decided.scheduled_new_reqs]
        resumed = decided.scheduled_cached_reqs.resumed_req_ids
        entered += [i for i in decided.num_scheduled_tokens if i in resumed]
        again = [s.requests[i].num_preemptions > 0 for i in entered]
        self.in_flight.append((decided, self.sampled(decided)))
        if len(self.in_flight) > int(self.knobs.async_scheduling):
            s.update_from_output(*self.in_flight.pop(0))
        return Step(
            tokens=tuple((int(i), n) for i, n in decided.num_scheduled_tokens.items()),
            admitted=tuple(int(i) for i, known in zip(entered, again, strict=True) if not known),
            resumed=tuple(int(i) for i, known in zip(entered, again, strict=True) if known),
            preempted=tuple(sorted(map(int, decided.preempted_req_ids or ()))),
            finished=tuple(sorted(map(int, s.finished_req_ids))),
            free=free,
            free_after=s.kv_cache_manager.block_pool.get_num_free_blocks(),
            running=tuple(int(r.request_id) for r in s.running),
            waiting=tuple(int(r.request_id) for r in s.waiting),
        )

    def sampled(self, decided: Any) -> ModelRunnerOutput:
        """A token for each request whose prefill ended in this iteration, none for the others."""
        ids = list(decided.num_scheduled_tokens)
        return ModelRunnerOutput(
            req_ids=ids,
            req_id_to_index={name: i for i, name in enumerate(ids)},
            sampled_token_ids=[self.next_tokens(name) for name in ids],
        )

    def next_tokens(self, name: str) -> list[int]:
        request = self.scheduler.requests[name]
        if request.is_prefill_chunk:
            return []
        arrival = self.arrivals[int(name)]
        # Scheduled asynchronously, its token before this one may still be on the way.
        place = request.num_tokens + max(request.num_output_placeholders - 1, 0)
        if self.slack and place == arrival.prompt + arrival.output - 1:
            return [STOP]
        # Asynchronously one more is computed for who stopped before vLLM hears of it.
        return [arrival.token_ids[place] if place < len(arrival.token_ids) else 1]


def driver_of(folder: Path, case: Case, **options: Any) -> Driver:
    """The engine of a case, nobody there yet."""
    return Driver(
        folder, case.knobs, case.blocks, case.block, prefix_caching=case.prefix_caching, **options
    )


def drive(folder: Path, case: Case, steps: int, **options: Any) -> Iterator[Step]:
    """The iterations of a run."""
    yield from driven(driver_of(folder, case, **options), case, steps)


def driven(driver: Driver, case: Case, steps: int) -> Iterator[Step]:
    """The same of an engine that is there."""
    coming = deque(case.arrivals)
    for step in range(steps):
        while coming and coming[0].step <= step:
            driver.add(coming.popleft())
        yield driver.step()
