"""The laws that every engine keeps. An engine's file is found where it defines ``ENGINE``."""

from __future__ import annotations

import pkgutil
from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsteady.model.system import Eviction
from kvsteady.simulate import arriving, engines
from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.engines.transformers import Transformers
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.integrity import IntegrityError, check_integrity
from kvsteady.simulate.machine import Machine
from stepping import UnitTime, feed_of, step


def found_engines():
    """Every engine with its default options, and once more with its cache off or on."""
    for module in pkgutil.iter_modules(engines.__path__):
        home = import_module(f"{engines.__name__}.{module.name}")
        for kind in getattr(home, "ENGINES", [getattr(home, "ENGINE", None)]):
            if kind is None or not isinstance(kind, type):
                continue
            engine = kind()
            yield pytest.param(engine, id=engine.name)
            if "enable_prefix_caching" in {field.name for field in fields(kind)}:
                other = replace(engine, enable_prefix_caching=not engine.enable_prefix_caching)
                word = "with" if other.enable_prefix_caching else "without"
                yield pytest.param(other, id=f"{engine.name}-{word}-prefix-caching")
            if "disable_radix_cache" in {field.name for field in fields(kind)}:
                other = replace(engine, disable_radix_cache=not engine.disable_radix_cache)
                word = "without" if other.disable_radix_cache else "with"
                yield pytest.param(other, id=f"{engine.name}-{word}-radix-cache")
            if isinstance(engine, Transformers):
                # No request of these fills a page of 256 tokens, which is kept when it is done.
                yield pytest.param(replace(engine, page_size=4), id=f"{engine.name}-page-4")


ENGINES = list(found_engines())

requests = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.integers(0, 60).map(float),
            "prompt": st.integers(1, 70),
            "output": st.integers(1, 40),
        }
    ),
    min_size=1,
    max_size=24,
).map(lambda rows: sorted(rows, key=lambda row: row["time"]))

laws = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def machine_of(engine, rows, blocks, **options):
    return Machine(engine, blocks * engine.block_size, UnitTime(), feed_of(rows), **options)


def blocks_of(engine, rows, room):
    """Twice what the largest request needs, and some: an engine may keep a reserve."""
    largest = max(row["prompt"] + row["output"] for row in rows)
    return 2 * -(-largest // engine.block_size) + room


def kept_aside(machine):
    """Blocks that Transformers keeps of requests that are done."""
    return machine.habits.memo["cached"] if isinstance(machine.engine, Transformers) else 0


@pytest.mark.parametrize("engine", ENGINES)
@laws
@given(rows=requests, room=st.integers(0, 12))
def test_memory_suffices_requests_are_conserved_and_all_get_done(engine, rows, room):
    left = []
    machine = machine_of(engine, rows, blocks_of(engine, rows, room), finished=left.append)
    finished: list[int] = []
    for _ in range(20_000):
        done = step(machine)  # checks the books
        if done is None:
            break
        assert not done.finished & set(finished)
        finished += done.finished
    machine.flush()
    clock = machine.clock
    gone = np.concatenate(left)
    assert clock["all_arrived"] == len(rows) == gone.size
    assert sorted(gone["id"].tolist()) == list(range(len(rows)))
    assert clock["all_completed"] + clock["all_rejected"] == len(rows)
    assert clock["free"] + kept_aside(machine) == clock["total"]
    completed = gone[gone["status"] == 0]
    assert completed.size == clock["all_completed"] == len(finished)
    assert clock["all_output"] == completed["output"].sum()
    assert clock["all_preempted"] == gone["preemptions"].sum()
    assert (completed["arrival"] <= completed["scheduled"]).all()
    assert (completed["scheduled"] < completed["first_token"]).all()
    # One token an iteration at most.
    spent = completed["finish"] - completed["first_token"]
    assert (spent >= completed["output"] - 1 - 1e-9).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("eviction", [Eviction.RESUME, Eviction.RESTART])
@laws
@given(rows=requests, room=st.integers(0, 12))
def test_the_same_again_is_the_same(engine, eviction, rows, room):
    runs = []
    for _ in range(2):
        left, log = [], []
        machine = machine_of(
            engine,
            rows,
            blocks_of(engine, rows, room),
            eviction=eviction,
            finished=left.append,
            iterations=log.append,
            log_every=1,
        )
        machine.run(20_000)
        machine.flush()
        runs.append((np.concatenate(left).tobytes(), np.concatenate(log).tobytes()))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("engine", ENGINES)
@laws
@given(rows=requests, room=st.integers(0, 12))
def test_what_is_swapped_out_is_not_computed_again(engine, rows, room):
    left = []
    machine = machine_of(
        engine, rows, blocks_of(engine, rows, room), eviction=Eviction.SWAP, finished=left.append
    )
    while step(machine) is not None:
        pass
    machine.flush()
    clock, gone = machine.clock, np.concatenate(left)
    assert clock["all_completed"] == gone.size == len(rows)
    # Each prompt token is computed once and brings the first token of the output; each of these
    # but the last (in theory also that) is computed once to bring the next.
    once = gone["prompt"].sum() + gone["output"].sum() - gone.size * engine.unwritten
    assert clock["all_prefill"] + clock["all_decode"] == once
    assert clock["all_recomputed"] == clock["all_wasted"] == 0
    # At the least a token goes out and comes back, or is found in a cache.
    found = getattr(engine, "enable_prefix_caching", False)
    assert clock["all_swapped"] >= clock["all_preempted"] * (1 if found else 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_crowded_engine_swaps_and_its_swaps_take_time(engine):
    rows = [{"prompt": 3 * engine.block_size, "output": 6 * engine.block_size}] * 12
    if not crowds(engine, rows):
        pytest.skip("it promises each request all the memory that it may need")
    spent = []
    for seconds in (0.0, 0.25):
        machine = machine_of(
            engine, rows, 20, eviction=Eviction.SWAP, swap_seconds_per_token=seconds
        )
        assert machine.run(100_000) == arriving.DRAINED
        clock = machine.clock
        assert clock["all_swapped"] > 0
        spent.append((float(clock["busy"]), int(clock["iteration"]), int(clock["all_swapped"])))
    (quick, iterations, swapped), slow = spent
    assert quick == iterations  # a second each
    # All come at once, so that time changes no decision.
    assert slow == (iterations + 0.25 * swapped, iterations, swapped)


def crowds(engine, rows):
    """Whether it evicts at all."""
    machine = machine_of(engine, rows, 20)
    machine.run(100_000)
    return machine.clock["all_preempted"] > 0


def test_blocks_that_get_lost_are_told():
    for engine in (Vllm(enable_prefix_caching=False), Vllm(), Sglang(), Transformers(page_size=4)):
        machine = machine_of(engine, [{"prompt": 40, "output": 30}] * 3, 40)
        machine.run(5)
        check_integrity(machine)
        machine.clock["free"] -= 1
        with pytest.raises(IntegrityError, match=r"blocks|pages"):
            check_integrity(machine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_request_that_never_fits_is_rejected_and_the_rest_goes_on(engine):
    rows = [
        {"prompt": 30, "output": 10},
        {"prompt": 30, "output": 200 * engine.block_size},
        {"prompt": 20, "output": 5},
    ]
    left = []
    machine = machine_of(engine, rows, blocks_of(engine, rows[:1], 10), finished=left.append)
    assert machine.run(10_000) == arriving.DRAINED
    machine.flush()
    gone = np.concatenate(left)
    status = dict(zip(gone["id"].tolist(), gone["status"].tolist(), strict=True))
    assert status == {0: 0, 1: 1, 2: 0}


@pytest.mark.parametrize("engine", ENGINES)
def test_kv_that_came_with_a_request_is_not_computed(engine):
    rows = [{"prompt": 33, "output": 5, "loaded": 32}, {"prompt": 21, "output": 3}]
    machine = machine_of(engine, rows, 40)
    while step(machine) is not None:
        pass
    assert machine.clock["all_prefill"] == 1 + 21
    assert machine.clock["all_completed"] == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_stopping_and_going_on_changes_nothing(engine):
    rows = [
        {"time": 0.7 * i, "prompt": 7 * i % 50 + 1, "output": 5 * i % 31 + 1} for i in range(30)
    ]
    ends = []
    for stretch in (1, 7, 10**6):
        machine = machine_of(engine, rows, blocks_of(engine, rows, 0))
        while machine.run(stretch) == arriving.GO:
            pass
        names = ("now", "iteration", "all_preempted", "all_prefill", "all_decode", "all_completed")
        ends.append([float(machine.clock[name]) for name in names])
    assert ends[0] == ends[1] == ends[2]
