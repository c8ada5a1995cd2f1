"""Random workloads for SGLang's radix cache: requests repeat and continue each other."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from kvsteady.simulate.load import Feed
from kvsteady.simulate.machine import Machine
from reference.engines.sglang import Arrival, Knobs
from sglang_cases import case, engine_of
from stepping import UnitTime, feed_of


def sharing_case(seed: int, requests: int = 300) -> tuple[Knobs, list[Arrival], int]:
    """Options, requests with their tokens, and how many tokens one of their keys stands for.

    Below a whole key nothing is shared, as loads tell no more than their keys do.
    """
    knobs, arrivals = case(seed, requests)
    rng = random.Random(-1 - seed)
    page = knobs.page_size
    unit = page * rng.choice([1, 1, 1, 3])
    common = rng.choice([0, 8, 40, 120])  # tokens by which prompts become longer
    alike = rng.choice([0.2, 0.6, 0.9])
    tokens = iter(range(10, 10**9))
    texts = [[next(tokens) for _ in range(40 * unit)] for _ in range(rng.randint(1, 5))]
    asked: list[Arrival] = []
    for arrival in arrivals:
        prompt = arrival.prompt + rng.randint(0, common)
        begins: list[int] = []
        if rng.random() < alike:
            begins = list(rng.choice(texts))
            if asked and rng.random() < 0.6:  # the next turn of another, or the same again
                begins = list(rng.choice(asked[-12:]).token_ids)
        cut = rng.choice([unit, 2 * unit, 5 * unit, len(begins), rng.randint(0, len(begins))])
        begins = begins[: min(cut, prompt + arrival.output)]
        if unit > page or rng.random() < 0.5:
            begins = begins[: len(begins) // unit * unit]
        own = [next(tokens) for _ in range(prompt + arrival.output - len(begins))]
        asked.append(replace(arrival, prompt=prompt, token_ids=tuple(begins + own)))
    longest = max(a.prompt + a.max_new for a in asked)
    least = (-(-longest // page) + 2) * page
    tokens_held = max(knobs.tokens, int(least * rng.choice([1, 1.3, 2, 4])) // page * page)
    return replace(knobs, tokens=tokens_held, disable_radix_cache=False), asked, unit


def keys_of(arrivals: list[Arrival], unit: int) -> list[list[int]]:
    """A key for each whole unit of each request: equal where it and all before it are equal."""
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    keys = []
    for arrival in arrivals:
        key, own = 0, []
        for end in range(unit, len(arrival.token_ids) + 1, unit):
            content = (key, arrival.token_ids[end - unit : end])
            key = known.setdefault(content, len(known) + 1)
            own.append(key)
        keys.append(own)
    return keys


def sharing_feed(arrivals: list[Arrival], unit: int) -> Feed:
    keys = keys_of(arrivals, unit)
    ends = np.cumsum([len(own) for own in keys])
    rows = [
        {
            "time": float(a.step),
            "prompt": a.prompt,
            "output": a.output,
            "limit": a.max_new,
            "keys": int(end) - len(own),
            "key_count": len(own),
        }
        for a, own, end in zip(arrivals, keys, ends, strict=True)
    ]
    flat = np.array([key for own in keys for key in own] or [0], dtype=np.int64)
    return feed_of(rows, keys=flat, key_tokens=unit)


def sharing_machine(knobs: Knobs, arrivals: list[Arrival], unit: int) -> Machine:
    return Machine(engine_of(knobs), knobs.tokens, UnitTime(), sharing_feed(arrivals, unit))
