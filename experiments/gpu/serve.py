"""One run of Transformers' continuous batching, batch by batch, and what it measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from loads import Load
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

import kvsteady.plugins.transformers as plugin

# Llama 3.1 8B's shape; weights are random, which changes no length: outputs end by count.
_8B = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
}
_TOY = {
    "vocab_size": 2048,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1 << 16,
}
_SAMPLES = 400  # of the KV usage


def make_model(toy: bool) -> Any:
    """The model, made on the device from its configuration: nothing is read or fetched."""
    torch.manual_seed(0)
    if toy:
        torch.set_num_threads(1)  # more of them only wait for each other
    on_gpu = torch.cuda.is_available()
    torch.set_default_dtype(torch.bfloat16 if on_gpu else torch.float32)
    with torch.device("cuda" if on_gpu else "cpu"):
        return LlamaForCausalLM(LlamaConfig(**(_TOY if toy else _8B))).eval()


def hardware() -> dict[str, Any]:
    """What it ran on."""
    on_gpu = torch.cuda.is_available()
    about = Path("/proc/cpuinfo")
    lines = about.read_text("utf-8").splitlines() if about.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else "unknown"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU: {processor}",
        "gpu": on_gpu,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def serve(model: Any, load: Load, policy: str | None, seed: int) -> dict[str, Any]:
    """Serve the load to its end; ``policy`` None is the engine's own rule.

    Times are of the middle of the run, from a fifth to four fifths of the completions: neither
    filling nor running empty. Counts are of the whole run.
    """
    lengths = load.lengths(seed)
    scheduler = "prefill_first"
    if policy is not None:
        plugin.configure(policy=policy, budget_ms=1e6, metrics=False)
        scheduler = "steady_prefill_first"
    manager = model.init_continuous_batching(
        GenerationConfig(do_sample=False, eos_token_id=-1),
        ContinuousBatchingConfig(
            page_size=load.page,
            num_blocks=load.kv_tokens // load.page,
            max_batch_tokens=2048,
            max_requests_per_batch=1024,
            scheduler_type=scheduler,
            safety_margin=0.0,
            allow_block_sharing=False,
            use_async_batching=False,
            use_cuda_graph=False,
            auto_switch_to_flash=False,
        ),
    )
    processor = manager._create_batch_processor()
    regulator = getattr(processor.scheduler, "regulator", None)
    if policy is not None and (regulator is None or regulator.why_aside):
        raise SystemExit("the plug-in stepped aside: see the log")
    _hide_lengths(processor.scheduler, lengths)
    rng = np.random.default_rng(seed)
    for i, (prompt, output) in enumerate(lengths):
        tokens = rng.integers(0, model.config.vocab_size, prompt).tolist()
        limit = load.max_tokens or output
        manager.add_request(tokens, request_id=str(i), max_new_tokens=limit, eos_token_id=-1)
    found = _run(processor, model, len(lengths))
    if regulator is not None and regulator.why_aside:
        raise SystemExit(regulator.why_aside)
    del manager, processor
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return found


def _hide_lengths(scheduler: Any, lengths: list[tuple[int, int]]) -> None:
    """End each request after its output, without telling anybody: as an end of sequence does."""
    put = scheduler.add_waiting_request

    def add(state: Any) -> None:
        prompt, output = lengths[int(state.request_id)]
        state._new_tokens_limit = output - (len(state.initial_tokens) - prompt)
        put(state)

    scheduler.add_waiting_request = add


@torch.no_grad()
def _run(processor: Any, model: Any, many: int) -> dict[str, Any]:
    scheduler, cache = processor.scheduler, processor.cache
    evicted, lost, held = 0, 0, {}
    put = scheduler.add_waiting_request

    def again(state: Any) -> None:
        nonlocal evicted, lost
        if state._true_initial_tokens:
            evicted += 1
            lost += held[state.request_id]
        put(state)

    scheduler.add_waiting_request = again
    steps = done = tokens = 0
    usage, last, gaps = [], {}, []
    marks: list[tuple[float, int]] = []
    while processor.prepare_next_batch():
        processor._generation_step(model)
        batch = processor.inputs_and_outputs.requests_in_batch
        processor.update_batch()  # waits for the device
        now = time.perf_counter()
        steps += 1
        for future in batch:
            name = future.state.request_id
            held[name] = future.state.position_offset
            if future.has_new_token:
                tokens += 1
                if name in last and len(marks) == 1:
                    gaps.append(now - last[name])
                last[name] = now
        done = many - len(scheduler.active_requests) - len(scheduler.waiting_requests)
        if len(marks) < 2 and done >= (0.2, 0.8)[len(marks)] * many:
            marks.append((now, tokens))
        usage.append(1.0 - cache.compute_free_capacity())
    (begun, before), (ended, after) = marks
    thinned = usage[:: max(1, len(usage) // _SAMPLES)]
    p50, p90, p99 = np.quantile(gaps, [0.5, 0.9, 0.99]).tolist()
    return {
        "steps": steps,
        "completed": done,
        "output_tokens": tokens,
        "evictions": evicted,
        "recomputed": lost,
        "tokens_per_second": (after - before) / (ended - begun),
        "itl_p50": p50,
        "itl_p90": p90,
        "itl_p99": p99,
        "itl_max": max(gaps),
        "usage": [round(each, 4) for each in thinned],
        "usage_every": max(1, len(usage) // _SAMPLES),
    }
