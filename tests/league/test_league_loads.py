"""Loads of the suite that share prefixes, and those that are told nothing or nonsense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kvsteady.admission import NO_LIMIT
from kvsteady.errors import InputError
from kvsteady.league import Season
from kvsteady.league.loads import KEY_TOKENS, Conversations, Replayed, SystemPrompt, Told
from kvsteady.league.match import Match, play
from kvsteady.league.workloads import CONTESTS
from kvsteady.simulate.loads import Saturated, read_mooncake
from kvsteady.workload import Workload

TURN = Workload.from_counts([30, 200], [50, 90], [1, 1], random=True)


def test_what_is_told_is_told_and_outputs_stay() -> None:
    load = Saturated(TURN, requests=100)
    plain, told = (next(each.feed().batches) for each in (load, Told(load, NO_LIMIT)))
    assert set(told["limit"]) == {NO_LIMIT}
    assert np.array_equal(plain["output"], told["output"])
    # Too few there cannot be: the engine would have stopped there.
    assert next(Told(load, 60).feed().batches)["limit"].tolist() == [
        max(60, output) for output in plain["output"].tolist()
    ]


def test_all_begin_with_the_system_prompt() -> None:
    feed = SystemPrompt(Saturated(TURN, requests=50), 4 * KEY_TOKENS).feed()
    rows = next(feed.batches)
    assert set(rows["prompt"]) == {30 + 256, 200 + 256}
    assert feed.largest_prompt == 456
    assert feed.keys.tolist() == [0, 1, 2, 3]
    assert set(rows["keys"]) == {0}
    assert set(rows["key_count"]) == {4}


def test_a_turn_begins_with_all_that_was_said_before() -> None:
    feed = Conversations(TURN, 128, 200, seed=1, together=20).feed()
    (rows,) = feed.batches
    assert feed.on_demand
    assert len(set(rows["session"])) > 200  # those that begin, and those that were there
    last: dict[int, tuple[int, list[int], int]] = {}
    between = []
    for place, row in enumerate(rows):
        keys = feed.keys[row["keys"] : row["keys"] + row["key_count"]].tolist()
        before = last.get(int(row["session"]))
        if before is not None:
            said, old = before[0], before[1]
            assert row["prompt"] - said in (30, 200)
            assert keys[: said // KEY_TOKENS] == old[: said // KEY_TOKENS]
            between.append(place - before[2])
        assert keys[:2] == [0, 1]
        last[int(row["session"])] = (int(row["prompt"] + row["output"]), keys, place)
    assert np.mean(between) == pytest.approx(20, rel=0.1)  # conversations take turns


def test_conversations_are_as_old_at_the_beginning_as_later() -> None:
    runs = [next(Conversations(TURN, 128, 3000, seed=seed).feed().batches) for seed in range(4)]
    # Turns are geometric with mean 4, 16 at most: a turn is the k-th with a chance of 0.75^(k − 1),
    # and k − 1 times 115 + 70 tokens were said before it.
    k = np.arange(1, 17)
    chances = 0.75 ** (k - 1)
    expected = 128 + 115 + 185 * float((k - 1) @ chances / chances.sum())
    quarters = [[part["prompt"].mean() for part in np.array_split(rows, 4)] for rows in runs]
    assert np.mean(quarters, axis=0) == pytest.approx([expected] * 4, rel=0.04)
    for rows in runs:
        assert rows["time"][0] < 5
        assert rows.size == pytest.approx(3000 * chances.sum(), rel=0.05)


def test_a_system_prompt_is_in_memory_once() -> None:
    # x* is that of the rest of the prompts in the rest of the memory; greedy fills it, which it
    # could not if each request held the 2,048 tokens: 12% of x* then.
    for engine in ("vllm", "sglang"):
        result = play(Match(workload="system-prompt", entrant="greedy", engine=engine, quick=True))
        assert result.outcome == "ran"
        assert 0.95 < result.of_x < 1.05


def test_max_tokens_that_say_nothing_change_nothing_for_who_does_not_look() -> None:
    found = [
        play(Match(workload=name, entrant="greedy", engine="vllm", quick=True))
        for name in ("azure", "azure-untold", "azure-far")
    ]
    assert found[0] == found[1] == found[2]


def test_a_trace_is_played_where_one_is_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trace"):
        Season(workloads=("mooncake-prefixes",))
    assert "mooncake-prefixes" not in {match.workload for match in Season().first()}
    file = tmp_path / "trace.jsonl"
    file.write_text(
        "".join(
            f'{{"timestamp": {i}, "input_length": 1500, "output_length": 20, '
            f'"hash_ids": [0, {2 * i + 1}, {2 * i + 2}]}}\n'
            for i in range(40)
        )
    )
    season = Season(workloads=("mooncake-prefixes",), quick=True, mooncake=str(file))
    assert {match.trace for match in season.first()} == {str(file)}
    assert {match.seed for match in season.first()} == {0}  # others would be the same
    feed = Replayed(read_mooncake(file)).feed()
    assert feed.on_demand
    assert feed.key_tokens == 512
    match = next(match for match in season.first() if match.entrant == "greedy")
    assert play(match).outcome == "ran"


def test_caches_are_on_where_something_is_shared() -> None:
    on = {name for name, contest in CONTESTS.items() if contest.cached}
    assert on == {"system-prompt", "conversations", "mooncake-prefixes"}
