"""Several tensor-parallel ranks, each a process with SGLang's real scheduler: they decide alike.

`ranks.py` is such a process. After each iteration it compares what it did with the others, and
fails where that differs; a rank that waits for one that does not come fails after a minute.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.processes import results_of
from engines.sglang.plugged import Driver, OverlapDriver, plugged, saturate
from engines.sglang.ranks import AFTER, BEFORE, CAP, CASES, FIXED, KNOBS, load

RANKS = 2


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank did, by case."""
    folder = tmp_path_factory.mktemp("ranks")
    return results_of(Path(__file__).with_name("ranks.py"), RANKS, folder)


def alone(name: str, limited: int = BEFORE + AFTER, kind: type[Driver] = Driver) -> list[str]:
    """One rank's steps, of which so many are limited."""
    driver = kind(KNOBS)
    with plugged(**CASES[name][0]):
        steps = saturate(driver, load(name), limited).steps
    if rest := BEFORE + AFTER - limited:
        steps += saturate(driver, load(name), rest).steps
    return [repr(step) for step in steps]


def of(both: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """What the ranks say of a case, in which they did the same."""
    found = [each[name] for each in both]
    for one in found[1:]:
        assert one["steps"] == found[0]["steps"]
    return found


@pytest.mark.parametrize("name", ["well", "steady", "shadow"])
def test_ranks_decide_as_one_alone_does(both: list[dict[str, Any]], name: str) -> None:
    first, *others = of(both, name)
    assert first["steps"] == alone(name)
    assert first["lead"]
    assert not any(other["lead"] for other in others)  # they have no policy that could fail
    assert first["aside"] is None
    assert first["limited"] > 50
    assert first["lines"] == others[0]["lines"] == []


def test_a_policy_by_the_second_goes_by_one_clock(both: list[dict[str, Any]]) -> None:
    first, _ = of(both, "by the second")
    assert first["aside"] is None
    assert first["limited"] > 50


@pytest.mark.parametrize(
    ("name", "text"),
    [("blind", "broken on purpose"), ("confused", "broken on purpose"), ("slow", "its budget")],
)
def test_what_fails_on_one_rank_ends_on_all(
    both: list[dict[str, Any]], name: str, text: str
) -> None:
    first, other = of(both, name)
    kinds = ["prefill" if "kind='prefill'" in step else "" for step in first["steps"]]
    # As long as it limits: a slow policy to the eighth time, one that cannot take down what it did
    # to its next admission.
    more = {"blind": 0, "slow": 7, "confused": kinds[BEFORE:].index("prefill") + 1}[name]
    assert first["steps"] == alone(name, BEFORE + more)
    [line] = first["lines"]
    assert "steps aside" in line
    assert text in line
    assert other["lines"] == []


def test_so_it_is_with_overlap(both: list[dict[str, Any]]) -> None:
    first, _ = of(both, "overlap")
    assert first["steps"] == alone("blind", BEFORE, OverlapDriver)
    assert "broken on purpose" in str(first["lines"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("on rank 0 alone", "not turned on, on every rank"),
        ("on the others alone", "not turned on, on every rank"),
        ("unknown to one", "not turned on, on every rank"),
        ("set otherwise", "patience=101"),
    ],
)
def test_where_ranks_are_not_set_alike_none_begins(
    both: list[dict[str, Any]], name: str, text: str
) -> None:
    found = of(both, name)
    stock = [repr(step) for step in saturate(Driver(KNOBS), FIXED, BEFORE).steps]
    assert found[0]["steps"] == stock
    assert not any(each["gate"] for each in found)
    lines = " ".join(line for each in found for line in each["lines"])
    assert "steps aside" in lines
    assert text in lines
    with plugged(**CAP):  # where it begins, it is another run
        assert [repr(step) for step in saturate(Driver(KNOBS), FIXED, BEFORE).steps] != stock
