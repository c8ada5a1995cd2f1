"""The block pool against the plain one, which real vLLM was compared with (see `reference`)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Eviction
from kvsteady.simulate.doors import fits, hits, hold, release
from kvsteady.simulate.integrity import IntegrityError
from kvsteady.simulate.prefix import Pooled, check_pool, new_pool
from kvsteady.simulate.prefix.integrity import free_queue
from kvsteady.simulate.prefix.pool import OWN
from kvsteady.simulate.records import PREFILLING, WAITING
from kvsteady.simulate.state import State, new_state
from reference.engines.prefix import Cached, PrefixPool


@numba.njit
def ask(memory, s, slot, tokens, spare):
    return hits(memory, s, slot), fits(memory, s, slot, tokens, spare)


@numba.njit
def ask_first(memory, s, slot, tokens, spare):
    return fits(memory, s, slot, tokens, spare)


@numba.njit
def keep(memory, s, slot, tokens):
    hold(memory, s, slot, tokens)


@numba.njit
def drop(memory, s, slot):
    release(memory, s, slot)


@dataclass
class Both:
    """The same requests in both pools. Slots are never used twice."""

    blocks: int
    block: int
    span: int
    requests: int

    def __post_init__(self) -> None:
        state = new_state(
            blocks=self.blocks,
            block_size=self.block,
            eviction=Eviction.RESUME,
            unwritten=1,
            largest_output=1,
            patience=1,
            slots=self.requests,
        )
        self.state: State = state._replace(keys=np.zeros(0, dtype=np.int64))
        pool = new_pool(self.blocks, self.block, running=self.requests, slots=self.requests)
        self.pool: Pooled = pool.fitted(self.span * self.block, 10**4, self.block)
        self.plain = PrefixPool(self.blocks, self.block)
        self.plain_of: dict[int, Cached] = {}

    def arrive(self, slot: int, prompt: int, keys: list[int]) -> None:
        state, row = self.state, self.state.requests[slot]
        row["state"], row["sequence"] = WAITING, slot
        row["prompt"], row["output"] = prompt, 10**6
        row["keys"], row["key_count"] = state.keys.size, len(keys)
        self.state = state._replace(keys=np.append(state.keys, np.array(keys, dtype=np.int64)))

        def key_of(place: int) -> int:
            number, part = divmod(place, self.span)
            own = 10**9 * (slot + 1) + place
            return keys[number] * self.span + part if number < len(keys) else own

        self.plain_of[slot] = Cached(prompt, key_of)

    def admit(self, slot: int, chunk: int, whole: bool, ask_twice: bool) -> bool:
        request, row = self.plain_of[slot], self.state.requests[slot]
        found = self.plain.hits(request)
        cached = len(found) * self.block
        chunk = min(chunk, request.tokens - cached)
        room = self.plain.allocate(request, chunk, found, whole=whole)
        tokens = request.tokens if whole else cached + chunk
        if ask_twice:
            assert ask_first(self.pool, self.state, slot, tokens, 0) == room
        assert ask(self.pool, self.state, slot, tokens, 0) == (cached, room)
        if room:
            keep(self.pool, self.state, slot, cached + chunk)
            row["state"] = PREFILLING
            row["computed"] = request.computed = cached + chunk
        return room

    def extend(self, slot: int, chunk: int) -> bool:
        request, row = self.plain_of[slot], self.state.requests[slot]
        if request.computed == request.tokens:
            request.tokens += 1
            row["kept"] += 1
        tokens = min(request.computed + chunk, request.tokens)
        room = self.plain.allocate(request, tokens - request.computed)
        assert ask_first(self.pool, self.state, slot, tokens, 0) == room
        if room:
            keep(self.pool, self.state, slot, tokens)
            row["computed"] = request.computed = tokens
        return room

    def free(self, slot: int) -> None:
        drop(self.pool, self.state, slot)
        self.plain.free(self.plain_of[slot])
        self.state.requests["state"][slot] = WAITING
        self.state.requests["computed"][slot] = 0

    def compare(self) -> None:
        free = int(self.state.clock["free"])
        assert free == self.plain.free_blocks
        check_pool(self.pool, self.state)
        ours = [
            None if found is None else self.plain_key(*found) for found in free_queue(self.pool)
        ]
        assert ours == [block.key for block in self.plain.free_queue]

    def plain_key(self, group: int, place: int) -> int:
        slot = group - OWN  # of a request's own content: they arrive in the order of their slots
        return group * self.span + place if slot < 0 else 10**9 * (slot + 1) + place


def content(rng: random.Random, tree: dict[tuple[int, ...], int], depth: int) -> list[int]:
    """Keys of a random path: requests that start alike share them."""
    path: tuple[int, ...] = ()
    keys = []
    for _ in range(depth):
        path = (*path, rng.randrange(2))
        keys.append(tree.setdefault(path, len(tree)))
    return keys


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    blocks=st.integers(2, 60),
    block=st.integers(1, 5),
    span=st.integers(1, 3),
)
def test_every_answer_and_the_queue_are_those_of_the_plain_pool(
    seed: int, blocks: int, block: int, span: int
) -> None:
    rng = random.Random(seed)
    both = Both(blocks, block, span, requests=40)
    tree: dict[tuple[int, ...], int] = {}
    waiting: list[int] = []
    running: list[int] = []
    arrived = 0
    for _ in range(150):
        what = rng.random()
        if arrived < 40 and (what < 0.3 or not (waiting or running)):
            keys = content(rng, tree, rng.randint(0, 4))
            least = len(keys) * span * block
            both.arrive(arrived, max(1, least + rng.randint(-block, 2 * block)), keys)
            waiting.append(arrived)
            arrived += 1
        elif waiting and what < 0.6:
            slot = rng.choice(waiting)
            if both.admit(slot, rng.randint(1, 20), rng.random() < 0.6, rng.random() < 0.5):
                waiting.remove(slot)
                running.append(slot)
        elif running and what < 0.85:
            if not both.extend(rng.choice(running), rng.randint(1, 6)):
                slot = running.pop()
                both.free(slot)
                waiting.insert(0, slot)
        elif running:
            slot = running.pop(rng.randrange(len(running)))
            both.free(slot)
            if rng.random() < 0.5:
                waiting.append(slot)
        both.compare()


def three_of_four(pool_blocks: int = 4) -> tuple[Both, list[int]]:
    """Blocks of 2 tokens; requests 0 and 1 have 6 tokens each and two keys in common."""
    both = Both(pool_blocks, 2, 1, requests=4)
    both.arrive(0, 6, [7, 8, 9])
    both.arrive(1, 6, [7, 8, 10])
    assert both.admit(0, 6, whole=True, ask_twice=False)
    return both, [7, 8, 9]


def test_a_prefix_in_use_costs_nothing_and_the_last_token_is_computed() -> None:
    both, _ = three_of_four()
    # One block is free, and one is all that the other needs: 2 of 3 are shared.
    assert ask(both.pool, both.state, 1, 6, 0) == (4, True)
    assert ask_first(both.pool, both.state, 1, 6, 1) is False  # not with a block to spare
    both.arrive(2, 6, [7, 8, 9])  # the same again: the third block holds its last token
    assert ask(both.pool, both.state, 2, 6, 0) == (4, True)


def test_a_free_prefix_is_found_but_leaves_the_queue_when_held() -> None:
    both, keys = three_of_four()
    both.free(0)
    assert int(both.state.clock["free"]) == 4
    # The tail goes first, and before it the block that never had content.
    assert free_queue(both.pool) == [None, *((key, 0) for key in reversed(keys))]
    assert ask(both.pool, both.state, 1, 6, 0) == (4, True)
    assert ask_first(both.pool, both.state, 1, 6, 2) is False  # 2 found + 1 fresh of 4


def test_what_was_refused_fits_when_its_content_comes_into_use() -> None:
    both = Both(4, 2, 1, requests=4)
    both.arrive(0, 3, [7])
    both.arrive(1, 8, [7, 8, 9])
    assert both.admit(0, 3, whole=True, ask_twice=False)
    assert ask_first(both.pool, both.state, 1, 8, 0) is False  # 4 blocks, 1 in use, 2 free
    assert ask_first(both.pool, both.state, 1, 8, 0) is False
    both.arrive(2, 4, [7, 8])
    assert both.admit(2, 4, whole=True, ask_twice=False)  # the second key is in use now
    assert ask_first(both.pool, both.state, 1, 6, 0) is True
    assert ask(both.pool, both.state, 1, 6, 0) == (4, True)


def test_a_key_must_be_whole_blocks_and_a_table_of_sane_size() -> None:
    with pytest.raises(InputError, match="whole number of blocks"):
        new_pool(10, 16, running=4, slots=8).fitted(40, 100, 16)
    with pytest.raises(InputError, match="max_num_seqs"):
        new_pool(1 << 20, 16, running=1 << 20, slots=8).fitted(0, 1 << 24, 16)


def test_a_broken_pool_is_told() -> None:
    def broken(change: Any) -> None:
        both, _ = three_of_four()
        change(both.pool)
        check_pool(both.pool, both.state)

    broken(lambda pool: pool.pieces["users"].__setitem__(3, 0))  # as it was: row 3 is not used
    with pytest.raises(IntegrityError, match="users"):
        broken(lambda pool: pool.pieces["users"].__setitem__(0, 5))
    with pytest.raises(IntegrityError, match="content"):
        broken(lambda pool: pool.pieces["group"].__setitem__(1, 5))
    with pytest.raises(IntegrityError, match="torn"):
        broken(lambda pool: pool.pieces["after"].__setitem__(4, 2))
    with pytest.raises(IntegrityError, match="free blocks"):
        broken(lambda pool: pool.book.__setitem__("bare", 2))
    with pytest.raises(IntegrityError, match="cache"):
        broken(lambda pool: pool.seats["keyed"].__setitem__(0, 2))
