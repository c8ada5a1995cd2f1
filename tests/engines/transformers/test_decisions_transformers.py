"""The kernel and the plain engine against the real Transformers engine, every decision.

Needs `tests/engines/requirements/transformers.txt`; the recording in `tests/simulate/data` stands
in for it elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.metadata

import pytest

from kvsteady.model.system import Eviction
from kvsteady.simulate.engines.transformers import Transformers
from kvsteady.simulate.machine import Machine
from reference.engines.transformers import Transformers as Plain
from reference.engines.transformers_cases import Diary, measured, workload
from stepping import UnitTime, feed_of, step

VERSION = "5.23.0"

STEPS = 500
try:
    INSTALLED = importlib.metadata.version("transformers")
except importlib.metadata.PackageNotFoundError:
    INSTALLED = "none"
if INSTALLED != VERSION:
    pytest.skip(f"needs transformers {VERSION}, found {INSTALLED}", allow_module_level=True)
Engine = importlib.import_module("engines.transformers.drive").Engine


def real_rows(case, forward="constant", **more):
    options, requests = case
    diary = Diary()
    return [
        diary.row(done.tokens, done.admitted, done.evicted, done.finished, done.free)
        for done in Engine(requests, forward=forward, **options, **more).run(STEPS)
    ]


def kernel_rows(case, eviction=Eviction.RESUME):
    options, requests = dict(case[0]), case[1]
    kv_tokens = options.pop("num_blocks") * options["page_size"]
    feed = feed_of([{"time": float(t), "prompt": p, "output": o} for t, p, o in requests])
    machine = Machine(Transformers(**options), kv_tokens, UnitTime(), feed, eviction=eviction)
    diary, rows = Diary(), []
    while len(rows) < STEPS and (done := step(machine)) is not None:
        rows.append(diary.row(done.tokens, done.admitted, done.preempted, done.finished, done.free))
    return rows


def evictions(rows):
    return sum(len(evicted) for _, _, _, evicted, _, _ in rows)


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_the_kernel_decides_as_the_real_engine(seed, compared):
    case = workload(seed)
    rows = real_rows(case)
    assert kernel_rows(case) == rows
    compared("transformers", configurations=1, steps=len(rows), evictions=evictions(rows))


@pytest.mark.parametrize("seed", range(3000, 3030))
def test_offload_to_a_large_pool_is_swap(seed, compared):
    case = workload(seed)
    rows = real_rows(case, cpu_offload_space=0.02)  # GiB: room for 80,000 tokens
    assert kernel_rows(case, Eviction.SWAP) == rows
    compared("transformers, swap", configurations=1, steps=len(rows), evictions=evictions(rows))


@pytest.mark.parametrize("sharing", [False, True])
def test_the_measured_case_with_a_model(sharing):
    case = measured(allow_block_sharing=sharing)
    assert kernel_rows(case) == real_rows(case, forward="model")


@pytest.mark.parametrize("seed", range(2000, 2060))
def test_the_plain_engine_repeats_where_nobody_could_be_scheduled(seed):
    # What the kernel does not tell: how often schedule_batch ran.
    options, requests = workload(seed)
    engine, plain = Engine(requests, **options), Plain(**options)
    arrived = clock = 0
    for done in engine.run(STEPS):
        while arrived < len(requests) and requests[arrived][0] <= clock:
            plain.add(arrived, *requests[arrived][1:])
            arrived += 1
        ours = plain.step()
        if ours is None:
            clock = requests[arrived][0]
            while arrived < len(requests) and requests[arrived][0] <= clock:
                plain.add(arrived, *requests[arrived][1:])
                arrived += 1
            ours = plain.step()
        clock += 1
        assert ours.passes == done.passes
        assert (ours.tokens, ours.evicted) == (done.tokens, done.evicted)
