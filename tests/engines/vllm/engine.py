"""The whole vLLM engine on a CPU, with a tiny model of random weights: run it and count.

    python -m engines.vllm.engine CONFIG_FOLDER RUN RESULT.json

A process of its own for each run: vLLM reads the environment when it is imported, and 0.32.0 makes
one engine per process on a CPU.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1",
    OMP_NUM_THREADS="1",
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_NO_USAGE_STATS="1",
)

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,  # vLLM's attention on CPUs wants heads of 32
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 1024,
    "max_position_embeddings": 512,
    "torch_dtype": "float32",
}
BLOCK, BLOCKS = 32, 60


def run(folder: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Serve ``requests`` prompts of 32 tokens; what was scheduled, and every output token."""
    import random

    from vllm import LLM, SamplingParams

    llm = LLM(
        model=folder,
        load_format="dummy",
        skip_tokenizer_init=True,
        enforce_eager=True,
        max_model_len=256,
        max_num_seqs=256,
        block_size=BLOCK,
        num_gpu_blocks_override=BLOCKS + 1,
        seed=0,
        **{"enable_prefix_caching": False, **wanted.get("options", {})},
    )
    core = llm.llm_engine.engine_core.engine_core
    scheduler = core.scheduler
    counts = {"steps": 0, "tokens": 0, "preempted": 0}
    schedule = scheduler.schedule

    def counted(*args: Any, **kwargs: Any) -> Any:
        decided = schedule(*args, **kwargs)
        counts["steps"] += decided.total_num_scheduled_tokens > 0
        counts["tokens"] += decided.total_num_scheduled_tokens
        counts["preempted"] += len(decided.preempted_req_ids or ())
        return decided

    scheduler.schedule = counted
    draw = random.Random(0)
    engine, outputs = llm.llm_engine, {}
    for i in range(wanted["requests"]):
        # A few tokens again and again, so that n-grams find something to propose.
        prompt = [draw.randrange(wanted.get("words", 1000)) for _ in range(32)]
        params = SamplingParams(max_tokens=64, ignore_eos=True, temperature=0.0, detokenize=False)
        engine.add_request(str(i), {"prompt_token_ids": prompt}, params)
    number = 0
    while engine.has_unfinished_requests():
        number += 1
        if number == wanted.get("pause_at"):
            core.pause_scheduler(mode="keep")
            before = counts["tokens"]
            for _ in range(20):
                core.step()
            assert counts["tokens"] == before, "a paused engine computes nothing"
            core.resume_scheduler()
        if number == wanted.get("abort_at"):
            engine.abort_request(wanted["abort"])
        for output in engine.step():
            if output.finished:
                outputs[output.request_id] = list(output.outputs[0].token_ids)
    found = {**counts, "outputs": outputs, "class": type(scheduler).__name__}
    watch = getattr(scheduler, "kvsteady", None)
    if watch is not None:
        regulator = watch.regulator
        found["ledger"], found["aside"] = vars(regulator.ledger), regulator.why_aside
    return found


def main() -> None:
    folder, wanted, result = sys.argv[1:]
    (Path(folder) / "config.json").write_text(json.dumps(MODEL))
    Path(result).write_text(json.dumps(run(folder, json.loads(wanted))))


if __name__ == "__main__":
    main()
