"""TensorRT-LLM's capacity schedulers: NVIDIA's own cases, cases by hand, and a plain engine."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.simulate import arriving
from kvsteady.simulate.engines.trtllm import TensorRtLlm
from kvsteady.simulate.machine import Machine
from reference.engines.trtllm import TensorRtLlm as Reference
from stepping import UnitTime, feed_of, step

POLICIES = ("GUARANTEED_NO_EVICT", "STATIC_BATCH", "MAX_UTILIZATION")


def machine_of(requests, num_blocks, **options):
    """Requests are (iteration of arrival, prompt, output[, max_tokens])."""
    rows = []
    for at, prompt, output, *limit in requests:
        rows.append({"time": float(at), "prompt": prompt, "output": output})
        rows[-1]["limit"] = limit[0] if limit else output
    engine = TensorRtLlm(**options)
    return Machine(engine, num_blocks * engine.tokens_per_block, UnitTime(), feed_of(rows))


class Plain:
    """The plain engine behind the same three lines."""

    def __init__(self, requests, num_blocks, **options):
        self.engine, self.requests = Reference(num_blocks, **options), requests
        self.clock = self.arrived = 0

    def step(self):
        while self.arrived < len(self.requests) and self.requests[self.arrived][0] <= self.clock:
            self.engine.add(self.arrived, *self.requests[self.arrived][1:])
            self.arrived += 1
        done = self.engine.step()
        if done is None and self.arrived < len(self.requests):
            self.clock = self.requests[self.arrived][0]
            return self.step()
        self.engine.check_integrity()
        self.clock += 1
        return done


def both(requests, num_blocks, **options):
    """Steps of the kernel; that the plain engine takes the same ones is checked on the way."""
    machine, plain = (
        machine_of(requests, num_blocks, **options),
        Plain(requests, num_blocks, **options),
    )
    steps = []
    while (done := step(machine)) is not None:
        theirs = plain.step()
        assert done.tokens == theirs.tokens
        assert done.admitted == set(theirs.admitted)
        assert done.preempted == set(theirs.paused)
        assert done.finished == set(theirs.finished)
        assert done.free == theirs.free
        assert done.running == [r.name for r in plain.engine.active if r.started]
        steps.append(done)
    assert plain.step() is None
    return steps


def batches(steps):
    """When the batch changed, and who was in it from then on."""
    changes = []
    for i, done in enumerate(steps):
        if not changes or changes[-1][1] != set(done.tokens):
            changes.append((i, set(done.tokens)))
    return changes


# cpp/tests/unit_tests/batch_manager/capacitySchedulerTest.cpp (commit 08c2acf): blocks of 10, two
# requests of prompt 10 and 80 new tokens; the iterations are the `ExpectedState`s of that file.
TWO = [(0, 10, 80)] * 2
SMALL = {"tokens_per_block": 10, "max_batch_size": 2}


@pytest.mark.parametrize("policy", POLICIES)
def test_nvidia_simple_should_fit(policy):
    steps = both(TWO, 20, policy=policy, **SMALL)
    assert batches(steps) == [(0, {0, 1})]
    assert len(steps) == 80


def test_nvidia_simple_does_not_fit_guaranteed_completion():
    steps = both(TWO, 10, policy="GUARANTEED_NO_EVICT", **SMALL)
    assert batches(steps) == [(0, {0}), (80, {1})]
    assert len(steps) == 160


def test_nvidia_simple_does_not_fit_max_utilization():
    steps = both(TWO, 10, policy="MAX_UTILIZATION", **SMALL)
    assert batches(steps) == [(0, {0, 1}), (41, {0}), (80, {1})]
    assert steps[41].preempted == {1}
    assert steps[80].tokens == {1: 51}  # its prompt is 10 + 41 now
    assert len(steps) == 119


def test_nvidia_adding_new_requests_max_utilization():
    requests = [*TWO, (10, 10, 80), (10, 10, 80)]
    steps = both(requests, 10, policy="MAX_UTILIZATION", tokens_per_block=10, max_batch_size=4)
    assert batches(steps) == [
        (0, {0, 1}),
        (10, {0, 1, 2, 3}),
        (21, {0, 1}),
        (41, {0}),
        (80, {1, 2}),
        (90, {1}),
        (119, {2, 3}),
        (139, {2}),
        (178, {3}),
    ]
    assert len(steps) == 227


# By hand, blocks of 2.


def test_max_utilization_by_hand():
    # A: prompt 3, output 4. B: prompt 2, output 4. 4 blocks.
    steps = both([(0, 3, 4), (0, 2, 4)], 4, policy="MAX_UTILIZATION", tokens_per_block=2)
    seen = [(done.tokens, done.preempted, done.finished, done.free) for done in steps]
    assert seen == [
        # A needs ceil(3/2) = 2 blocks, B 1: both start. A holds 3 tokens, B 2; 1 block is free.
        ({0: 3, 1: 2}, set(), set(), 1),
        # A's 4th token fits in its blocks; B's 3rd takes the free one.
        ({0: 1, 1: 1}, set(), set(), 0),
        # A's 5th token needs a block. The last started is B: its 2 blocks come free, A takes one.
        # B's prompt is 2 + 2 tokens now.
        ({0: 1}, {1}, set(), 1),
        # A's 6th fits. B needs ceil(4/2) = 2 of 1 and nobody behind it has started: it waits.
        # A has 4 tokens and leaves 3 blocks.
        ({0: 1}, set(), {0}, 4),
        # B prefills 4 tokens, its 3rd output token; then a last one, which takes a block.
        ({1: 4}, set(), set(), 2),
        ({1: 1}, set(), {1}, 4),
    ]


def test_guaranteed_no_evict_by_hand():
    # The same. A may come to 3 + 4 tokens: 4 blocks, all there are, though its last token is never
    # stored and 3 would do. B starts when A has left.
    steps = both([(0, 3, 4), (0, 2, 4)], 4, policy="GUARANTEED_NO_EVICT", tokens_per_block=2)
    assert batches(steps) == [(0, {0}), (4, {1})]
    assert [done.free for done in steps] == [2, 2, 1, 4, 3, 2, 2, 4]


def test_the_blocks_of_max_tokens_are_promised_not_those_of_the_output():
    # A stops after 2 tokens but may ask for 6: ceil((2 + 6)/2) = 4 blocks are promised to it.
    requests = [(0, 2, 2, 6), (0, 2, 2, 2)]
    steps = both(requests, 5, policy="GUARANTEED_NO_EVICT", tokens_per_block=2)
    assert batches(steps) == [(0, {0}), (2, {1})]


@pytest.mark.parametrize(("policy", "start"), [("STATIC_BATCH", 4), ("GUARANTEED_NO_EVICT", 2)])
def test_a_static_batch_waits_for_its_last_request(policy, start):
    # A: 3 + 4 tokens, 4 blocks. B, C: 2 + 2, 2 blocks each: the 8 are promised. B and C complete
    # in iteration 1, A in iteration 3. D comes at 1.
    requests = [(0, 3, 4), (0, 2, 2), (0, 2, 2), (1, 2, 2)]
    steps = both(requests, 8, policy=policy, tokens_per_block=2)
    assert [i for i, done in enumerate(steps) if 3 in done.admitted] == [start]


def test_chunks_are_whole_blocks_first_come_first_served():
    # 6 tokens per iteration; A: 5 + 2, B: 8 + 1, C: 2 + 1, D: 1 + 1.
    requests = [(0, 5, 2), (0, 8, 1), (0, 2, 1), (0, 1, 1)]
    steps = both(requests, 99, tokens_per_block=2, max_num_tokens=6, enable_chunked_prefill=True)
    assert [done.tokens for done in steps] == [
        # A takes 5 of 6. Of B 1 token would fit, which is no whole block; of C too; D is whole.
        {0: 5, 3: 1},
        # A decodes, 5 are left: B gets 2 blocks, C nothing of the 1 that is left.
        {0: 1, 1: 4},
        # B's other 4, and C.
        {1: 4, 2: 2},
    ]


def test_without_chunks_a_prompt_that_does_not_fit_stops_those_behind_it():
    # 6 tokens per iteration: B's 4 do not fit beside A's 5, and C's 1 waits behind B.
    steps = both([(0, 5, 2), (0, 4, 1), (0, 1, 1)], 99, tokens_per_block=2, max_num_tokens=6)
    assert [done.tokens for done in steps] == [{0: 5}, {0: 1, 1: 4, 2: 1}]


def test_a_prompt_longer_than_the_budget_stalls_the_engine():
    machine = machine_of([(0, 9, 1)], 99, max_num_tokens=8)
    assert machine.run(1_000_000) == arriving.STALLED


@settings(max_examples=80, deadline=None)
@given(
    requests=st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(1, 30), st.integers(1, 20), st.sampled_from([0, 0, 9])
        ),
        min_size=1,
        max_size=25,
    ),
    policy=st.sampled_from(POLICIES),
    block=st.integers(1, 8),
    room=st.floats(1, 4),
    tokens=st.integers(0, 60),
    places=st.integers(1, 12),
    chunked=st.booleans(),
)
def test_it_decides_as_the_plain_engine(requests, policy, block, room, tokens, places, chunked):
    requests.sort(key=lambda request: request[0])
    requests = [(at, prompt, output, output + more) for at, prompt, output, more in requests]
    most = max(prompt + output - 1 for _, prompt, output, _ in requests)
    both(
        requests,
        int(-(-most // block) * room),
        policy=policy,
        tokens_per_block=block,
        max_batch_size=places,
        max_num_tokens=tokens + (block if chunked else most),
        enable_chunked_prefill=chunked,
    )


@pytest.mark.parametrize("policy", ["GUARANTEED_NO_EVICT", "MAX_UTILIZATION"])
def test_short_prompts_overtake_where_chunks_are_whole_blocks(policy):
    # A load of prompts of less than a block and of several, in little memory: a request that waits
    # may have come before those that run, and before those that are paused.
    rng = random.Random(0)
    overtaken = 0
    for _ in range(40):
        requests = [(0, rng.choice([1, 2, 3, 20, 30]), rng.randint(1, 20)) for _ in range(25)]
        block = rng.choice([4, 8])
        most = max(prompt + output - 1 for _, prompt, output in requests)
        steps = both(
            requests,
            int(-(-most // block) * rng.choice([1, 1.5, 2.5])),
            policy=policy,
            tokens_per_block=block,
            max_batch_size=rng.choice([2048, 6]),
            max_num_tokens=rng.randint(block, 3 * block),
            enable_chunked_prefill=True,
        )
        overtaken += sum(
            bool(done.waiting) and bool(done.running) and done.waiting[0] < done.running[-1]
            for done in steps
        )
    assert overtaken > 100


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("policy", {"policy": "PREFILL_FIRST"}),
        ("max_batch_size", {"max_batch_size": 0}),
        ("tokens_per_block", {"tokens_per_block": 0}),
        ("max_num_tokens", {"max_num_tokens": 31, "enable_chunked_prefill": True}),
    ],
)
def test_bad_options_are_named(field, options):
    with pytest.raises(InputError) as raised:
        TensorRtLlm(**options)
    assert raised.value.field == field
