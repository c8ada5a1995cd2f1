"""Drive the real continuous batching engine of Transformers 5.23.0, one step at a time.

The whole engine runs: scheduler, cache, offloading, batch preparation and update; the background
thread's loop body is called by hand instead. The model is a Llama of one layer with random weights,
or, with ``forward="constant"``, no model at all: every request's next token is 0, which changes no
decision, since requests end by length. Where `limits` are given, requests may run so far, and end
by a token that says so after their output. No file or network is read.

    PYTHONPATH=tests python tests/engines/transformers/drive.py RECORDING.json
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

from reference.engines.transformers_cases import Arrival, Diary, Options, measured, workload

torch.set_num_threads(1)
VOCABULARY = 2048
END = 1  # the token that ends a request, where it has a limit beyond its output


@dataclasses.dataclass
class Step:
    """What the engine did in one step; requests are named by their place in the workload."""

    tokens: dict[int, int]
    admitted: list[int]
    evicted: list[int]
    finished: list[int]
    free: int  # blocks free after it: of the pool and of sectors, without those kept for sharing
    passes: int  # calls of schedule_batch


@contextlib.contextmanager
def pageable() -> Iterator[None]:
    """Let the pool of `cpu_offload_space` be plain memory: pinned memory wants a GPU."""
    empty = torch.empty
    torch.empty = lambda *size, **more: empty(*size, **{**more, "pin_memory": False})
    try:
        yield
    finally:
        torch.empty = empty


def _name(request_id: str) -> Any:
    """The place in the workload; further answers to one prompt have names of their own."""
    return int(request_id) if request_id.isdigit() else request_id


class Engine:
    """`options` are those of `ContinuousBatchingConfig`; the cache has 1 block to a sector.

    `limits` are the requests' max_new_tokens, their outputs if not given; the first `shared` tokens
    of all prompts are the same.
    """

    asynchronous = False

    def __init__(
        self,
        requests: Sequence[Arrival],
        *,
        forward: str = "constant",
        limits: Sequence[int] | None = None,
        shared: int = 0,
        **options: Any,
    ):
        torch.manual_seed(0)
        # 256 bytes of KV to a token: every page is a whole number of the 128 bytes of alignment.
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=1 << 16,
        )
        self.model = LlamaForCausalLM(config).eval()
        self.forward = forward
        assert len(requests) <= VOCABULARY
        self.requests = list(requests)
        self.limits, self.shared = limits, shared
        self.manager = self.model.init_continuous_batching(
            GenerationConfig(do_sample=False, eos_token_id=-1), ContinuousBatchingConfig(**options)
        )
        with pageable():
            self.processor = self.manager._create_batch_processor()
        self.scheduler = self.processor.scheduler
        self.cache = self.processor.cache
        assert self.processor.use_async_batching == self.asynchronous
        assert self.cache.num_sectors == self.cache.num_blocks == options["num_blocks"]
        self.arrived, self.clock = 0, 0
        self.rng = random.Random(0)
        self._watch()

    def _watch(self) -> None:
        """Note what the engine does, and leave what it does as it is."""
        offload = self.processor.offloading_manager.offload_requests

        def noted_offload() -> bool:
            before = len(self.scheduler.active_requests)
            done = offload()
            gone = before - len(self.scheduler.active_requests)
            queue = list(self.scheduler.waiting_requests_order)
            self.evicted += [_name(name) for name in queue[len(queue) - gone :]]
            return done

        def noted_schedule(*budgets: int) -> Any:
            before = set(self.scheduler.active_requests)
            planned = type(self.scheduler).schedule_batch(self.scheduler, *budgets)
            self.passes += 1
            self.admitted += [_name(n) for n in self.scheduler.active_requests if n not in before]
            return planned

        self.processor.offloading_manager.offload_requests = noted_offload
        self.scheduler.schedule_batch = noted_schedule

    def _submit(self) -> None:
        while self.arrived < len(self.requests) and self.requests[self.arrived][0] <= self.clock:
            _, prompt, output = self.requests[self.arrived]
            # Each prompt begins with a token of its own: no two share a page.
            tokens = [self.arrived] + [self.rng.randrange(VOCABULARY) for _ in range(prompt - 1)]
            tokens[: self.shared] = range(min(self.shared, prompt))
            limit = output if self.limits is None else self.limits[self.arrived]
            end = -1 if self.limits is None else END
            self.manager.add_request(
                tokens, request_id=str(self.arrived), max_new_tokens=limit, eos_token_id=end
            )
            self.arrived += 1

    def step(self) -> Step | None:
        """One batch; None once everything is done. An idle engine waits for the next arrival."""
        self._submit()
        self.admitted: list[int] = []
        self.evicted: list[int] = []
        self.passes = 0
        with torch.no_grad():
            if not self.processor.prepare_next_batch():
                if self.arrived == len(self.requests):
                    return None
                self.clock = self.requests[self.arrived][0]
                return self.step()
            batch = self.processor.inputs_and_outputs
            tokens = {_name(f.state.request_id): f.query_length for f in batch.requests_in_batch}
            running = list(self.scheduler.active_requests)
            if self.forward == "model":
                self.processor._generation_step(self.model)
            else:
                batch.output_ids[0, : batch.num_request_in_batch] = 0
                if self.limits is not None:
                    self._end_some(batch)
            self.processor.update_batch()
        self.clock += 1
        finished = [_name(n) for n in running if n not in self.scheduler.active_requests]
        pool = self.cache.pool
        free = pool.num_free_sectors + pool.count_free_blocks(0)
        return Step(tokens, self.admitted, self.evicted, finished, free, self.passes)

    def _end_some(self, batch: Any) -> None:
        states = [f.state for f in batch.requests_in_batch if f.has_new_token]
        for place, state in enumerate(states):
            _, prompt, output = self.requests[int(state.request_id)]
            if len(state.initial_tokens) + len(state.generated_tokens) - prompt + 1 == output:
                batch.output_ids[0, place] = END

    def outputs(self) -> dict[int, list[int]]:
        """Tokens of the requests that ended well since the last call."""
        done = self.manager.output_router.output_queue
        gone = [done.get_nowait() for _ in range(done.qsize())]
        return {_name(each.request_id): each.generated_tokens for each in gone if not each.error}

    def run(self, steps: int = 1 << 30) -> list[Step]:
        done: list[Step] = []
        while len(done) < steps and (step := self.step()) is not None:
            done.append(step)
        return done


def record(case: tuple[Options, list[Arrival]], steps: int) -> dict[str, Any]:
    options, requests = case
    diary = Diary()
    rows = [
        diary.row(step.tokens, step.admitted, step.evicted, step.finished, step.free)
        for step in Engine(requests, **options).run(steps)
    ]
    return {"options": options, "requests": requests, "rows": rows}


def main(path: str) -> None:
    runs = [record(measured(), 120), *(record(workload(seed), 60) for seed in range(12))]
    recording = {
        "engine": f"transformers {transformers.__version__}, tests/engines/transformers/drive.py",
        "columns": Diary.columns,
        "runs": runs,
    }
    Path(path).write_text(json.dumps(recording, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
