"""Classes of requests, and their priorities, laid over any load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from kvsteady.arrays import IntArray
from kvsteady.errors import InputError
from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.loads import draws
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number

_MOST = 2**31


class Classes(Protocol):
    """Which class each request is of: numbers from 0 to below ``count``."""

    @property
    def count(self) -> int:
        """How many classes there are."""

    def of(self, rows: Any) -> IntArray:
        """Classes of `records.ARRIVAL` rows, shape of ``rows``."""
        ...


@dataclass(frozen=True)
class ByLength:
    """Classes by length: up to ``edges[0]`` tokens is class 0, up to ``edges[1]`` class 1, ….

    Parameters
    ----------
    what
        ``prompt`` or ``output``, of the request as it comes.
    edges
        Ascending; requests longer than the last are a class more.

    Raises
    ------
    InputError
        No edge, or edges that do not ascend from 0 or more.
    """

    what: Literal["prompt", "output"]
    edges: tuple[int, ...]

    def __post_init__(self) -> None:
        for edge in self.edges:
            whole_number(edge, f"classes.{self.what}", 0, _MOST)
        if not self.edges or list(self.edges) != sorted(set(self.edges)):
            raise InputError(
                "these do not ascend", field=f"classes.{self.what}", allowed="ascending lengths"
            )

    @property
    def count(self) -> int:
        """One more than there are edges."""
        return len(self.edges) + 1

    def of(self, rows: Any) -> IntArray:
        """Classes by the column."""
        found: IntArray = np.searchsorted(np.array(self.edges), rows[self.what], side="left")
        return found


@dataclass(frozen=True)
class Listed:
    """Classes as somebody listed them: (prompt, output, share) each.

    A `Workload` sorts its classes and merges those of equal lengths; here they have the numbers of
    the list, and requests of equal lengths are drawn among their classes by share.

    Parameters
    ----------
    workload
        What was made of the list.
    classes
        The list.
    seed
        Of the draws.
    """

    workload: Workload
    classes: tuple[tuple[int, int, float], ...]
    seed: int = 0

    @property
    def count(self) -> int:
        """As many as are listed."""
        return len(self.classes)

    def of(self, rows: Any) -> IntArray:
        """Classes by the row of the workload that a request was drawn from."""
        found = np.zeros(rows.size, dtype=np.int64)
        lengths = zip(self.workload.prompt.tolist(), self.workload.output.tolist(), strict=True)
        for kind, pair in enumerate(lengths):
            alike = [i for i, each in enumerate(self.classes) if each[:2] == pair]
            mine = rows["kind"] == kind
            if len(alike) == 1:
                found[mine] = alike[0]
            elif mine.any():
                below = np.cumsum([self.classes[i][2] for i in alike])
                found[mine] = [alike[k] for k in self._drawn(rows["id"][mine], below)]
        return found

    def _drawn(self, names: Any, below: Any) -> list[int]:
        own = draws.stream(self.seed, draws.CLASSES)
        numbers = np.array([draws.uniform(own, int(name)) for name in names]) * below[-1]
        places: list[int] = np.searchsorted(below, numbers, side="right").tolist()
        return [min(place, below.size - 1) for place in places]


@dataclass(frozen=True, eq=False)
class Noted:
    """Classes as a trace noted them, one for each request in the order of arrival.

    Parameters
    ----------
    classes
        Numbers from 0, shape ``(n,)``; a request's is that of its ``id``.
    """

    classes: IntArray

    @property
    def count(self) -> int:
        """One more than the largest number."""
        return int(self.classes.max(initial=0)) + 1

    def of(self, rows: Any) -> IntArray:
        """Classes by the number of the request."""
        found: IntArray = self.classes[rows["id"]]
        return found


@dataclass(frozen=True)
class Classed:
    """A load whose requests have classes, and priorities where they matter.

    Parameters
    ----------
    load
        Any.
    classes
        Which class a request is of; None leaves those of the load.
    priority
        Of each class; lower goes first, as in vLLM's ``policy="priority"``. None: 0 for all.
    noted
        Priority of each request by its ``id``, instead.

    Raises
    ------
    InputError
        Not a priority for each class, or one out of range.
    """

    load: Load
    classes: Classes | None = None
    priority: tuple[int, ...] | None = None
    noted: IntArray | None = None

    def __post_init__(self) -> None:
        if self.priority is None:
            return
        count = 1 if self.classes is None else self.classes.count
        if len(self.priority) != count:
            raise InputError(
                f"{len(self.priority)} priorities for {count} classes",
                field="classes.priority",
                allowed="one for each class",
            )
        for value in self.priority:
            whole_number(value, "classes.priority", -_MOST, _MOST)

    def feed(self) -> Feed:
        """Start over."""
        feed = self.load.feed()
        return replace(
            feed,
            batches=map(self._labelled, feed.batches),
            turns=self._labelled(feed.turns),
            classes=feed.classes if self.classes is None else self.classes.count,
        )

    def _labelled(self, rows: Any) -> Any:
        rows = rows.copy()
        if self.classes is not None:
            rows["kind"] = self.classes.of(rows)
        if self.priority is not None:
            rows["priority"] = np.array(self.priority)[rows["kind"]]
        if self.noted is not None:
            rows["priority"] = self.noted[rows["id"]]
        return rows


def priorities(values: Sequence[int]) -> tuple[int, ...] | None:
    """Priorities of classes; None where all are 0, so that nothing is labelled in vain."""
    return tuple(values) if any(values) else None
