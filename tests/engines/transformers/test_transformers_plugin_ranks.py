"""Several tensor-parallel ranks, each a process with Transformers' whole engine: they decide alike.

`ranks.py` is such a process. After each step it compares what it did with the others, and fails
where that differs; a rank that waits for one that does not come fails after a minute.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("torch")

from engines.processes import results_of
from engines.transformers.ranks import BEFORE, CASES, MANY, begun, nothing

RANKS = 2


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each rank did, by case."""
    folder = tmp_path_factory.mktemp("ranks")
    return results_of(Path(__file__).with_name("ranks.py"), RANKS, folder)


def of(both, name):
    """What the ranks say of a case, in which they did the same, and all was done."""
    found = [each[name] for each in both]
    for one in found:
        assert one["steps"] == found[0]["steps"]
        assert one["done"] == MANY
    return found


def alone(name, happens=nothing):
    """The steps of an engine of one process."""
    made = begun(name, 0, CASES[name][0])
    steps = made.run(BEFORE)
    happens(made)
    return [repr(step) for step in steps + made.run()]


@pytest.mark.parametrize("name", ["well", "shared", "shadow"])
def test_ranks_decide_as_one_alone_does(both, name):
    found = of(both, name)
    assert found[0]["steps"] == alone(name)
    for one in found:
        assert one["aside"] is None
        assert one["limited"] > 100
        assert one["lines"] == []


def test_a_policy_by_the_second_is_no_danger(both):
    """Their clocks differ, and the least that one allows holds on both."""
    for one in of(both, "by the second"):
        assert one["aside"] is None
        assert one["limited"] > 100


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blind 0", "broken on purpose"),
        ("blind 1", "broken on purpose"),
        ("confused 1", "broken on purpose"),
        ("slow 1", "its budget"),
    ],
)
def test_what_fails_on_one_rank_ends_on_all(both, name, text):
    found = of(both, name)
    [(rank, happens)] = CASES[name][1].items()
    assert found[0]["steps"] == alone(name, happens)
    assert text in found[rank]["aside"]
    assert found[1 - rank]["aside"] == "another rank does"
    assert [len(one["lines"]) for one in found] == [1, 1]


@pytest.mark.parametrize(
    ("name", "text"), [("set otherwise", "patience=101"), ("unknown to one", "known: 4.x")]
)
def test_where_ranks_are_not_set_alike_none_begins(both, name, text):
    found = of(both, name)
    assert found[0]["steps"] == alone("shadow")  # as the engine does by itself
    assert found[0]["steps"] != alone("well")
    for one in found:
        [line] = one["lines"]
        assert text in line


def test_where_nobody_knows_which_processes_schedule_together_it_does_not_begin(monkeypatch):
    monkeypatch.setattr("kvsteady.plugins.transformers.scheduler.processes", lambda: 2)
    monkeypatch.setattr("kvsteady.plugins.transformers.scheduler.find_helper", lambda: None)
    made = begun("well", 0, CASES["well"][0])
    assert made.scheduler.regulator is None
    assert [repr(step) for step in made.run()] == alone("shadow")
