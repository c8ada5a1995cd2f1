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
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.integrity import held_tokens
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.prefix import Pooled, check_pool
from kvsteady.simulate.radix import Radix, check_radix
from kvsteady.simulate.records import DECODING, FREE
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


def check_memory(machine):
    """No more is held than there is, and blocks are free or held."""
    state, clock = machine.state, machine.clock
    tokens = held_tokens(state)
    if isinstance(machine.memory, Pooled):
        check_pool(machine.memory, state)
        return
    if isinstance(machine.memory, Radix):
        check_radix(machine.memory, state)
        return
    assert tokens.sum() <= clock["total"] * clock["block"]
    if isinstance(machine.memory, Counted):
        rows = state.requests
        decodes = -(-tokens // clock["block"])
        held = np.where(rows["state"] == DECODING, decodes, rows["blocks"])
        assert held[rows["state"] != FREE].sum() == clock["total"] - clock["free"]


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
        check_memory(machine)
        assert not done.finished & set(finished)
        finished += done.finished
    machine.flush()
    clock = machine.clock
    gone = np.concatenate(left)
    assert clock["all_arrived"] == len(rows) == gone.size
    assert sorted(gone["id"].tolist()) == list(range(len(rows)))
    assert clock["all_completed"] + clock["all_rejected"] == len(rows)
    assert clock["free"] == clock["total"]
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
