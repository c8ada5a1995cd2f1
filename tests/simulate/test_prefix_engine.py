"""vLLM's scheduler with a prefix cache: our kernels against one request and one block at a time.

The plain scheduler and pool agree with the real ones: `engines/vllm/test_prefix_decisions.py`.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from prefix_cases import crowded
from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case, PromptsAlone, by_request, kernel_steps, plain_steps

SEEDS = st.integers(0, 2**32)


def assert_same(case: Case, steps: int) -> None:
    wanted = [by_request(case, step) for step in plain_steps(case, steps)]
    # `check` looks at all books of requests and blocks after each iteration.
    for at, (step, want) in enumerate(
        zip(kernel_steps(case, steps, check=True), wanted, strict=True)
    ):
        assert step == want, f"iteration {at}"


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_every_decision_is_that_of_the_plain_scheduler(seed: int) -> None:
    assert_same(crowded(seed, requests=40), 120)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_where_nothing_is_shared_only_the_preempted_find_their_blocks(seed: int) -> None:
    case = crowded(seed, requests=30)
    apart = tuple(
        replace(a, token_ids=tuple(10**6 * i + j for j in range(a.prompt + a.output)))
        for i, a in enumerate(case.arrivals)
    )
    assert_same(replace(case, arrivals=apart), 120)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_so_it_is_where_only_prompts_are_said_to_be_shared(seed: int) -> None:
    # What each generates is its own, also for the plain scheduler, which sees every token.
    case = crowded(seed, requests=40)
    apart = tuple(
        replace(
            a,
            token_ids=a.token_ids[: a.prompt]
            + tuple(-(10**6) * (i + 1) - j for j in range(a.output)),
        )
        for i, a in enumerate(case.arrivals)
    )
    assert_same(PromptsAlone(case.knobs, case.blocks, case.block, apart, True), 120)


def test_what_a_conversation_generated_is_found_by_its_next_turn() -> None:
    # Turn 1 has 6 + 5 tokens, of which the last is never computed: 10 are, 5 blocks of 2, and they
    # stay in memory. Turn 2 begins with 11 tokens of turn 1, so 10 of its 12 need no computing.
    first, second = tuple(range(11)), (*range(11), 99, 100)
    arrivals = (Arrival(0, 6, 5, 0, first), Arrival(20, 12, 1, 0, second))
    steps = kernel_steps(Case(Knobs(), 10, 2, arrivals, prefix_caching=True), 21)
    assert [step.tokens for step in steps[:5]] == [((0, n),) for n in (6, 1, 1, 1, 1)]
    assert steps[4].free_after == 10  # free, yet found
    assert steps[20].tokens == ((1, 2),)


def test_the_memory_that_a_common_prefix_saves_admits_more() -> None:
    # 12 blocks of 2; each request has 8 prompt tokens, 6 of them in common, and 1 block of its own.
    alike = tuple(Arrival(0, 8, 1, 0, (*range(6), 9 * i, 9 * i + 1, 9 * i + 2)) for i in range(12))
    apart = tuple(Arrival(0, 8, 1, 0, tuple(range(9 * i, 9 * i + 9))) for i in range(12))
    (shared,) = kernel_steps(Case(Knobs(), 12, 2, alike, prefix_caching=True), 1)
    (alone,) = kernel_steps(Case(Knobs(), 12, 2, apart, prefix_caching=True), 1)
    assert len(shared.admitted) == 9  # 3 blocks in common, 9 of their own
    assert len(alone.admitted) == 3
