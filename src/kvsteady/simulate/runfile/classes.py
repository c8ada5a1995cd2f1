"""Classes and priorities of a run file, laid over its load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvsteady.arrays import IntArray, frozen_ints
from kvsteady.errors import InputError
from kvsteady.simulate.fleet import Replica
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads import Recorded
from kvsteady.simulate.loads.classed import (
    ByLength,
    Classed,
    Classes,
    Listed,
    Noted,
    priorities,
)
from kvsteady.simulate.runfile import schema
from kvsteady.workload import Workload
from kvsteady.workload.traces import Columns, read_trace


def classed(run: schema.RunFile, load: Load, workload: Workload, folder: Path) -> Load:
    """The load with the classes and priorities that the file gives its requests.

    Raises
    ------
    InputError
        Classes from two sources, columns of a trace whose times are not replayed, or a number out
        of its range.
    """
    part = run.workload
    named = {"class_column": part.class_column, "priority_column": part.priority_column}
    given = [name for name, column in named.items() if column is not None]
    if given:
        return _noted(part, load, folder, given[0])
    if isinstance(part.classes, list):
        return _listed(part.classes, part.max_tokens, load, workload, run.seed)
    if part.classes is not None:
        return _binned(part.classes, load)
    return load


def check_priorities(load: Load, replicas: Sequence[Replica]) -> None:
    """Refuse priorities that no engine looks at.

    Raises
    ------
    InputError
        No replica schedules by priority.
    """
    given = isinstance(load, Classed) and (load.priority is not None or load.noted is not None)
    if given and not any(getattr(r.engine, "policy", None) == "priority" for r in replicas):
        raise InputError(
            "there are priorities, and no engine schedules by them",
            field="engine",
            allowed="vllm with the option policy: priority",
        )


def _listed(
    parts: list[schema.ClassPart],
    max_tokens: int | None,
    load: Load,
    workload: Workload,
    seed: int,
) -> Load:
    cut = [p.output if max_tokens is None else min(p.output, max_tokens) for p in parts]
    rows = [
        (p.prompt, output, 1.0 if p.share is None else p.share)
        for p, output in zip(parts, cut, strict=True)
    ]
    wanted = priorities([part.priority for part in parts])
    in_order = list(zip(workload.prompt.tolist(), workload.output.tolist(), strict=True))
    if wanted is None and [row[:2] for row in rows] == in_order:
        return load  # they have the numbers of the list already
    return Classed(load, Listed(workload, tuple(rows), seed), wanted)


def _binned(part: schema.BinsPart, load: Load) -> Load:
    if (part.output is None) == (part.prompt is None):
        raise InputError(
            "one length decides", field="workload.classes", allowed="either output or prompt"
        )
    classes: Classes = (
        ByLength("prompt", tuple(part.prompt or ()))
        if part.output is None
        else ByLength("output", tuple(part.output))
    )
    return Classed(load, classes, None if part.priority is None else tuple(part.priority))


def _noted(part: schema.WorkloadPart, load: Load, folder: Path, name: str) -> Load:
    if part.columns is None or part.trace is None or not isinstance(load, Recorded):
        raise InputError(
            "is given, but no trace with named columns is replayed",
            field=f"workload.{name}",
            allowed="with trace, columns (a time among them) and load: {kind: trace}",
        )
    if part.classes is not None:
        raise InputError(
            "classes and class_column are both given", field="workload", allowed="one of them"
        )
    columns = Columns.parse(part.columns)

    def noted(column: str | None) -> IntArray | None:
        return None if column is None else _column(folder / part.trace, part, columns, column)  # type: ignore[operator]  # checked above

    classes = noted(part.class_column)
    return Classed(
        load,
        None if classes is None else Noted(classes),
        noted=noted(part.priority_column),
    )


def _column(path: Any, part: schema.WorkloadPart, columns: Columns, name: str) -> IntArray:
    """Whole numbers from 0 in a column, in the order of arrival.

    The column is read in the place of the prompts: with the same checks, in the same order.
    """
    swapped = replace(columns, prompt=name)
    arrivals = read_trace(path, format=part.format, columns=swapped).arrivals
    assert arrivals is not None
    return frozen_ints(arrivals.prompt)
