"""Classes and priorities: where they come from, and that routers and engines act on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.fleet import ByClass, run_fleet
from kvsteady.simulate.runfile import read_scenario
from kvsteady.simulate.simulate import simulate

TRACE = "in,out,t,team,rank\n12,3,0,1,5\n40,9,2.5,0,0\n7,2,1,2,7\n"
TABLE = """
workload: {trace: mine.csv, columns: "prompt=in,output=out,time=t", %s}
memory: {kv_tokens: 100}
time: {kind: linear, iteration: 1}
"""
ALIKE = """
workload:
  classes:
    - {prompt: 16, output: 8, share: 0.75, priority: 5}
    - {prompt: 16, output: 8, share: 0.25, priority: -1}
load: {kind: at-once}
requests: 400
engine: {name: vllm, options: {max_num_seqs: 4, policy: %s, block_size: 16}}
memory: {kv_tokens: 1600}
time: {kind: linear, iteration: 1}
"""


def scenario(tmp_path: Path, text: str):
    path = tmp_path / "run.yaml"
    path.write_text(text, "utf-8")
    (tmp_path / "mine.csv").write_text(TRACE)
    return read_scenario(path)


def rows_of(load):
    feed = load.feed()
    return np.concatenate([*feed.batches, feed.turns]), feed.classes


def served(made):
    rows = []
    run_fleet(
        made.replicas, made.load, made.router, finished=lambda i, batch: rows.append((i, batch))
    )
    return rows


def test_a_class_of_high_priority_waits_less(tmp_path: Path) -> None:
    made = scenario(tmp_path, ALIKE % "priority")
    (_, rows), *more = served(made)
    rows = np.concatenate([rows, *[batch for _, batch in more]])
    high = rows["kind"] == 1
    # A quarter of 400 draws, four standard deviations wide.
    assert high.sum() == pytest.approx(100, abs=35)
    # All came at once and four run at a time: everyone of -1 is admitted before anyone of 5.
    assert rows["scheduled"][high].max() <= rows["scheduled"][~high].min()
    # 8 iterations for four requests; half of the queue in front on average.
    assert rows["scheduled"][high].mean() == pytest.approx(high.sum() / 4 * 8 / 2, rel=0.1)


def test_priorities_that_no_engine_looks_at_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="policy: priority"):
        scenario(tmp_path, ALIKE % "fcfs")


def test_classes_have_the_numbers_of_the_list(tmp_path: Path) -> None:
    # The workload sorts them by output.
    text = ALIKE % "fcfs"
    listed = text.replace("output: 8, share: 0.75, priority: 5", "output: 9, share: 0.75")
    made = scenario(tmp_path, listed.replace(", priority: -1", ""))
    rows, count = rows_of(made.load)
    assert count == 2
    assert (rows["kind"] == np.where(rows["output"] == 9, 0, 1)).all()
    assert (rows["kind"] == 0).mean() == 0.75


def test_columns_of_a_trace(tmp_path: Path) -> None:
    given = TABLE % "class_column: team, priority_column: rank"
    made = scenario(tmp_path, f"{given}engine: {{name: vllm, options: {{policy: priority}}}}")
    rows, count = rows_of(made.load)
    assert rows["time"].tolist() == [0, 1, 2.5]  # in the order of arrival
    assert (rows["kind"].tolist(), rows["priority"].tolist(), count) == ([1, 2, 0], [5, 7, 0], 3)


@pytest.mark.parametrize(
    ("bins", "kinds"),
    [
        ("output: [2, 8]", [1, 0, 2]),
        ("output: [9]", [0, 0, 0]),
        ("prompt: [7, 39], priority: [3, 2, 0]", [1, 0, 2]),
    ],
)
def test_classes_by_length(tmp_path: Path, bins: str, kinds: list[int]) -> None:
    policy = "priority" if "priority" in bins else "fcfs"
    made = scenario(
        tmp_path,
        f"{TABLE % f'classes: {{{bins}}}'}engine: {{name: vllm, options: {{policy: {policy}}}}}",
    )
    rows, _ = rows_of(made.load)
    assert rows["kind"].tolist() == kinds
    if policy == "priority":
        assert rows["priority"].tolist() == [2, 3, 0]


def test_by_class_sends_each_class_to_its_replica(tmp_path: Path) -> None:
    fleet = "replicas: 3\nrouter: by-class\nengine: paper\n"
    made = scenario(tmp_path, (TABLE % "classes: {output: [2, 8]}") + fleet)
    assert isinstance(made.router, ByClass)
    places = {int(row["id"]): i for i, batch in served(made) for row in batch}
    assert places == {0: 1, 1: 0, 2: 2}
    assert [each.completed for each in simulate(made).replicas] == [1, 1, 1]


@pytest.mark.parametrize(
    "load",
    ["", "load: {kind: trace, rate: 2}\n"],
)
def test_by_class_is_refused_where_there_is_one_class(tmp_path: Path, load: str) -> None:
    text = TABLE % "max_tokens: 9"
    made = scenario(tmp_path, f"{text}{load}replicas: 2\nrouter: by-class\nengine: paper\n")
    with pytest.raises(InputError, match="one class"):
        simulate(made)
    alone = scenario(tmp_path, f"{text}{load}router: by-class\nengine: paper\n")
    assert simulate(alone).completed == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("classes: {output: [8, 2]}", "ascend"),
        ("classes: {output: []}", "ascend"),
        ("classes: {output: [2], prompt: [2]}", "either output or prompt"),
        ("classes: {output: [2], priority: [1]}", "1 priorities for 2 classes"),
        ("class_column: nobody", "nobody"),
        ("class_column: t", "named twice"),
        ("class_column: team, classes: {output: [2]}", "both given"),
    ],
)
def test_classes_that_cannot_be(tmp_path: Path, words: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        scenario(tmp_path, TABLE % words)


def test_columns_need_a_trace_that_is_replayed(tmp_path: Path) -> None:
    text = (TABLE % "class_column: team") + "load: {kind: poisson, rate: 1}\nrequests: 9\n"
    with pytest.raises(InputError, match="class_column"):
        scenario(tmp_path, text)
