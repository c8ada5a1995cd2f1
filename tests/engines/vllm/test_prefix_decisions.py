"""Prefix caching: our vLLM engine, and the plain pool, decide as the real scheduler, step by step.

Needs vLLM 0.32.0. Requests share prefixes with others' prompts and outputs, at all sizes of memory.
"""

from __future__ import annotations

import random

import pytest

from prefix_cases import crowded
from reference.engines.prefix import Cached, PrefixPool
from vllm_runs import by_request, kernel_steps, plain_steps

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements/vllm.txt")

import torch
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_manager import KVCacheManager
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.request import Request, RequestStatus

from engines.vllm.drive import drive

STEPS = 500
BATCH = 20


@pytest.mark.parametrize("batch", range(5))
def test_crowded_engines_decide_as_vllm(batch, tmp_path, compared):
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        case = crowded(seed, requests=200)
        real = list(drive(tmp_path, case, STEPS))
        assert plain_steps(case, STEPS) == real, f"reference, seed {seed}"
        for at, (step, want) in enumerate(zip(kernel_steps(case, STEPS), real, strict=True)):
            assert step == by_request(case, want), f"kernel, seed {seed}, iteration {at}"
        compared(
            "vllm-0.32.0, prefix caching, crowded",
            configurations=1,
            steps=STEPS,
            preemptions=sum(len(step.preempted) for step in real),
            completions=sum(len(step.finished) for step in real),
        )


class Pair:
    """One request in both block pools, the real one and the plain one."""

    def __init__(self, number: int, tokens: list[int], block: int) -> None:
        self.tokens = tokens
        self.real = Request(
            request_id=str(number),
            prompt_token_ids=list(tokens),
            sampling_params=SamplingParams(max_tokens=10**6, ignore_eos=True),
            pooling_params=None,
            block_hasher=get_request_block_hasher(block, sha256),
        )
        self.plain = Cached(len(tokens), lambda i: hash(tuple(self.tokens[: (i + 1) * block])))

    def grow(self, token: int) -> None:
        self.tokens.append(token)
        self.real.append_output_token_ids(token)
        self.plain.tokens += 1

    def compute(self, tokens: int) -> None:
        self.plain.computed = self.real.num_computed_tokens = tokens


@pytest.mark.parametrize("seed", range(100))
def test_the_plain_pool_answers_as_the_real_manager(seed: int) -> None:
    # Any order of operations, also those that no scheduler would choose.
    rng = random.Random(seed)
    block, blocks = rng.choice([1, 2, 3, 4, 16]), rng.choice([4, 10, 30, 100])
    watermark = rng.choice([0.0, 0.0, 0.05, 0.3])
    init_none_hash(sha256)
    spec = FullAttentionSpec(block_size=block, num_kv_heads=1, head_size=1, dtype=torch.float32)
    real = KVCacheManager(
        KVCacheConfig(blocks + 1, [], [KVCacheGroupSpec(["layer"], spec)]),
        max_model_len=10**6,
        scheduler_block_size=block,
        hash_block_size=block,
        watermark=watermark,
    )
    plain = PrefixPool(blocks, block, watermark=watermark)
    paths = [[rng.randrange(3) for _ in range(4)] for _ in range(rng.choice([2, 6, 20]))]
    path_of: dict[Pair, list[int]] = {}
    waiting: list[Pair] = []
    running: list[Pair] = []

    def content(path: list[int], i: int) -> int:
        return hash(tuple(path[: i // (3 * block + 1) + 1])) % 10**9

    def free(pair: Pair) -> None:
        real.free(pair.real)
        plain.free(pair.plain)
        pair.real.status = RequestStatus.PREEMPTED
        pair.compute(0)

    for number in range(400):
        what = rng.random()
        if what < 0.35 or not (waiting or running):
            path = [*rng.choice(paths), number if rng.random() < 0.6 else 0]
            length = rng.randint(1, min(blocks, rng.choice([3, 8, 20])) * block)
            waiting.append(Pair(number, [content(path, i) for i in range(length)], block))
            path_of[waiting[-1]] = path
        elif what < 0.6 and waiting:
            pair = rng.choice(waiting)
            blocks_found, tokens_found, _ = real.get_computed_blocks(pair.real)
            found = plain.hits(pair.plain)
            assert tokens_found == len(found) * block
            rest = pair.plain.tokens - tokens_found
            new = rng.randint(1, rest) if rng.random() < 0.5 else rest
            whole, spare = rng.random() < 0.7, bool(running)
            got = real.allocate_slots(
                pair.real,
                new,
                num_new_computed_tokens=tokens_found,
                new_computed_blocks=blocks_found,
                full_sequence_must_fit=whole,
                has_scheduled_reqs=spare,
            )
            allocated = plain.allocate(pair.plain, new, found, whole=whole, spare=spare)
            assert allocated == (got is not None)
            if allocated:
                waiting.remove(pair)
                running.append(pair)
                pair.real.status = RequestStatus.RUNNING
                pair.compute(tokens_found + new)
        elif what < 0.9 and running:
            pair = rng.choice(running)
            if pair.plain.computed == pair.plain.tokens:
                pair.grow(content(path_of[pair], pair.plain.tokens))
            new = rng.randint(1, pair.plain.tokens - pair.plain.computed)
            allocated = plain.allocate(pair.plain, new)
            assert allocated == (real.allocate_slots(pair.real, new) is not None)
            if allocated:
                pair.compute(pair.plain.computed + new)
            else:
                waiting.append(running.pop())
                free(waiting[-1])
        elif running:
            free(running.pop(rng.randrange(len(running))))
        assert real.block_pool.get_num_free_blocks() == plain.free_blocks
