"""vLLM's scheduler with more memory than it needs, one request at a time, in the plainest words.

Written from vllm 0.32.0, `vllm/v1/core/sched/scheduler.py`: running requests first, in order, then
waiting ones; a prompt is cut where the token budget ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Request:
    prompt: int
    output: int
    arrival: float
    computed: int = 0
    generated: int = 0
    scheduled: float | None = None
    first_token: float | None = None
    finish: float | None = None


@dataclass
class Iteration:
    start: float
    prefill: int = 0
    decode: int = 0
    kv_read: int = 0
    pairs: float = 0.0
    seconds: float = 0.0
    chunks: list[tuple[Request, int]] = field(default_factory=list)


def serve(
    requests: list[Request],
    seconds: Callable[[Iteration], float],
    *,
    max_num_seqs: int,
    max_num_batched_tokens: int,
) -> list[Iteration]:
    """Serve requests, given in the order of arrival; their times are written into them."""
    waiting, running, log, now = list(requests), [], [], 0.0
    while waiting or running:
        if not running:
            now = max(now, waiting[0].arrival)
        iteration = Iteration(now)
        budget = max_num_batched_tokens
        for request in running:
            budget -= _schedule(request, budget, iteration)
        while waiting and waiting[0].arrival <= now and len(running) < max_num_seqs and budget:
            request = waiting.pop(0)
            request.scheduled = now
            running.append(request)
            budget -= _schedule(request, budget, iteration)
        iteration.seconds = seconds(iteration)
        now += iteration.seconds
        for request, tokens in iteration.chunks:
            request.computed += tokens
            if request.computed == request.prompt + request.generated:
                request.generated += 1
                if request.first_token is None:
                    request.first_token = now
                if request.generated == request.output:
                    request.finish = now
                    running.remove(request)
        log.append(iteration)
    return log


def _schedule(request: Request, budget: int, iteration: Iteration) -> int:
    tokens = min(request.prompt + request.generated - request.computed, budget)
    if not tokens:
        return 0
    if request.generated:
        iteration.decode += 1
        iteration.kv_read += request.computed
    else:
        iteration.prefill += tokens
        iteration.pairs += tokens * (request.computed + tokens / 2)
    iteration.chunks.append((request, tokens))
    return tokens
