"""Transformers' asynchronous batching on a CPU: a batch is planned before the last one is done.

The engine wants streams and events of a device, which a CPU has none of. They order work that would
else overlap; where each call is done before it returns there is nothing to order, so they stand for
nothing here. Everything else is the engine's: the two pairs of inputs and outputs, tokens carried
over, completions that are known a batch late.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from unittest import mock

import torch

from engines.transformers.drive import Engine, Step, _name

HOME = "transformers.generation.continuous_batching"
INPUTS = import_module(f"{HOME}.input_outputs")
USERS = [
    INPUTS,
    *(import_module(f"{HOME}.{name}") for name in ("model_runner", "offloading_manager")),
]


class Nothing:
    """A stream or an event of a device that has done everything at once."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def synchronize(self) -> None: ...

    def record_event(self, _: Any) -> None: ...

    def wait_event(self, _: Any) -> None: ...


@contextlib.contextmanager
def streamless() -> Iterator[None]:
    """Let the engine's asynchronous part run without streams."""
    kinds = INPUTS.ContinuousBatchingAsyncIOs
    with contextlib.ExitStack() as stack:
        patched = stack.enter_context
        patched(mock.patch.object(kinds, "_supported_device_types", ("cpu",)))
        patched(mock.patch.object(INPUTS, "create_device_stream", Nothing))
        patched(mock.patch.object(torch, "Event", Nothing))
        for user in USERS:
            patched(mock.patch.object(user, "stream_context", contextlib.nullcontext))
        yield


class Overlapped(Engine):
    """The engine's loop with asynchronous batching; a step plans a batch and ends the last one."""

    asynchronous = True

    def __init__(self, *args: Any, **options: Any) -> None:
        self.begun = False
        with streamless():
            super().__init__(*args, use_async_batching=True, **options)

    def step(self) -> Step | None:
        self._submit()
        self.admitted, self.evicted, self.passes = [], [], 0
        with torch.no_grad(), streamless():
            running = list(self.scheduler.active_requests)
            tokens: dict[int, int] = {}
            batches = self.processor.inputs_and_outputs
            if self.processor.prepare_next_batch():
                batch = batches.io_pairs[batches.current_pair].host_io
                tokens = {
                    _name(f.state.request_id): f.query_length for f in batch.requests_in_batch
                }
                self.forward_pass(batches)
                if self.begun:
                    self.processor.update_batch()
                self.begun = True
            elif self.begun:  # as the engine does at its end: what is in flight is still to come
                batches.swap_io_pairs()
                self.processor.update_batch()
                batches.swap_io_pairs()
                self.begun = False
            elif self.arrived == len(self.requests):
                return None
            else:
                self.clock = self.requests[self.arrived][0]
                return self.step()
        self.clock += 1
        finished = [_name(n) for n in running if n not in self.scheduler.active_requests]
        pool = self.cache.pool
        free = pool.num_free_sectors + pool.count_free_blocks(0)
        return Step(tokens, self.admitted, self.evicted, finished, free, self.passes)

    def forward_pass(self, batches: Any) -> None:
        if self.forward == "model":
            self.processor._generation_step(self.model)
            return
        batches.get_model_kwargs()
        batches.output_ids[0] = 0
        batches.retrieve_device_outputs()
