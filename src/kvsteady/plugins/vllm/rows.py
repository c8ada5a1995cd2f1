"""vLLM's requests as the rows that a policy sees, kept up to date by what changes.

To read a thousand requests anew in each iteration would cost as much as a policy. Here those who
came and went are written, and everybody else gains a token in one go; where that does not explain
what vLLM did, the rows are read anew.
"""
# mypy: disallow-untyped-decorators=false
# (a kernel: numba compiles it for the types it is called with)

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numba
import numpy as np

from kvsteady.admission import NO_LIMIT, View
from kvsteady.admission.view import SEEN, SeenRow

# Read anew now and then, whatever happened: a guard that costs next to nothing.
_ANEW_EVERY = 512
_NOBODY = np.zeros(0, dtype=np.int64)


def seen(request: Any, longest: int, shared: int = 0, arrived: float = 0.0) -> SeenRow:
    """One request as a `SEEN` row; tokens that are being computed count as generated.

    ``longest`` is vLLM's max_model_len, at which a request ends whatever its max_tokens; ``shared``
    are tokens of it that others hold too, ``arrived`` is when it came. Its output no engine knows.
    """
    prompt = request.num_prompt_tokens
    limit = min(request.max_tokens, max(longest - prompt, 1), NO_LIMIT)
    generated = request.num_output_tokens + request.num_output_placeholders
    return prompt, min(generated, limit), limit, 0, shared, 0, arrived


@numba.njit(cache=True, error_model="numpy")
def bring_up(rows, numbers, count, without, left, gained):  # type: ignore[no-untyped-def]
    """Give everybody a token, ``without`` some, and close up the rows of who ``left``.

    ``numbers`` of the rows are sorted, so are the other two. Returns how many rows there are then,
    and how many gained a token.
    """
    kept = many = i = j = 0
    for at in range(count):
        number = numbers[at]
        while i < without.size and without[i] < number:
            i += 1
        bare = i < without.size and without[i] == number
        if gained and not bare and rows[at].generated < rows[at].limit:
            rows[at].generated += 1
            many += 1
        while j < left.size and left[j] < number:
            j += 1
        if j < left.size and left[j] == number:
            continue
        if kept < at:
            rows[kept] = rows[at]
            numbers[kept] = number
        kept += 1
    return kept, many


@numba.njit(cache=True)
def move_up(rows, many, rest):  # type: ignore[no-untyped-def]
    """Drop the first ``many`` rows; so many follow."""
    for at in range(rest):
        rows[at] = rows[at + many]


def _sorted(numbers: list[int]) -> Any:
    return np.array(sorted(numbers), dtype=np.int64) if numbers else _NOBODY


class RunningRows:
    """Rows of those who run, in the order of admission.

    Requests get numbers as they are admitted, so that those of who runs are sorted, and a row is
    found by its request's number. ``shared`` says how many tokens of a request others hold too,
    ``arrived`` when it came.
    """

    def __init__(
        self,
        longest: int,
        shared: Callable[[Any], int] = lambda _: 0,
        arrived: Callable[[Any], float] = lambda _: 0.0,
    ) -> None:
        self._longest, self._shared, self._arrived = longest, shared, arrived
        self._number: dict[str, int] = {}
        self._numbers = np.zeros(0, dtype=np.int64)  # by row
        self._count = 0
        self._next = 0
        self._age = _ANEW_EVERY
        # Since the last `fill`: who came; who left, of them so many before the others gained a
        # token; how many gained one, and who could not.
        self._came: list[Any] = []
        self._left: list[int] = []
        self._left_before = 0
        self._gained: int | None = None
        self._prefilling: list[str] = []
        # Compiled now, while nobody waits.
        bring_up(np.zeros(1, dtype=SEEN), _NOBODY, 0, _NOBODY, _NOBODY, False)

    def came(self, request: Any) -> None:
        """Take down that a request was admitted."""
        self._number[request.request_id] = self._next
        self._next += 1
        self._came.append(request)

    def left(self, request: Any) -> None:
        """Take down that a request left, if it was here."""
        number = self._number.pop(request.request_id, None)
        if number is not None:
            self._left.append(number)

    def gained(self, many: int, prefilling: Iterable[str]) -> None:
        """Take down that so many gained a token: all but those in a prefill, it should be."""
        if self._gained is not None:
            self.distrust()
        self._gained, self._prefilling = many, list(prefilling)
        self._left_before = len(self._left)

    def distrust(self) -> None:
        """Read everything anew next time."""
        self._age = _ANEW_EVERY

    def fill(self, view: View, running: Sequence[Any]) -> None:
        """Bring ``view.running`` up to date with vLLM's list, which it has room for."""
        rows = view.running
        if self._numbers.size < rows.size:
            self._numbers = np.resize(self._numbers, rows.size)
        self._age += 1
        if self._age >= _ANEW_EVERY or not self._follow(rows, running):
            self._read(rows, running)

    def _follow(self, rows: Any, running: Sequence[Any]) -> bool:
        """Write what changed; False where that does not explain what is there."""
        came = self._came
        if self._count + len(came) > rows.size:
            return False
        still = [self._number[name] for name in self._prefilling if name in self._number]
        before = [number for number in still if number < self._next - len(came)]
        gone = self._left[: self._left_before]
        count, gained = bring_up(
            rows,
            self._numbers,
            self._count,
            _sorted(before + gone),
            _sorted(self._left),
            self._gained is not None,
        )
        # Those who came are read with the token that they gained.
        gained += len(came) - (len(still) - len(before))
        explained = self._gained is None or gained == self._gained
        self._gained, self._left_before = None, 0
        self._prefilling.clear()
        first = self._next - len(came)
        for number, request in enumerate(came, first):
            if self._number.get(request.request_id) == number:  # else it is gone again
                rows[count] = self._seen(request)
                self._numbers[count] = number
                count += 1
        self._came.clear()
        self._left.clear()
        self._count = count
        if not explained or count != len(running):
            return False
        last = self._number.get(running[-1].request_id) if running else None
        return not running or last == self._numbers[count - 1]

    def _read(self, rows: Any, running: Sequence[Any]) -> None:
        self._came.clear()
        self._left.clear()
        self._left_before = 0
        self._gained, self._age = None, 0
        self._count = self._next = len(running)
        self._number = {request.request_id: i for i, request in enumerate(running)}
        self._numbers[: self._count] = np.arange(self._count)
        for i, request in enumerate(running):
            rows[i] = self._seen(request)

    def _seen(self, request: Any) -> SeenRow:
        return seen(request, self._longest, self._shared(request), self._arrived(request))


class WaitingRows:
    """Rows of the queue's head, as many as a policy is shown.

    vLLM's queue is a deque or, by priority, a heap. A heap is kept sorted beside it. ``arrived``
    says when a request came.
    """

    def __init__(
        self, longest: int, arrived: Callable[[Any], float] = lambda _: 0.0, *, by_priority: bool
    ) -> None:
        self._longest, self._arrived = longest, arrived
        self._by_priority = by_priority
        self._order: list[Any] = []  # by priority: the whole queue, sorted
        self._shown: list[Any] = []
        move_up(np.zeros(1, dtype=SEEN), 0, 0)  # compiled now

    def came(self, request: Any, *, first: bool, rows: Any) -> None:
        """Take down that a request was put into the queue, at its head or where it belongs."""
        if self._by_priority:
            insort(self._order, request)
            place = bisect_left(self._order, request)
        elif first:
            place = 0
        else:
            return  # the tail is looked at anyway
        if place > len(self._shown) or place >= rows.size:
            return
        if len(self._shown) == rows.size:
            self._shown.pop()
        last = len(self._shown)
        rows[place + 1 : last + 1] = rows[place:last].copy()
        rows[place] = self._seen(request)
        self._shown.insert(place, request)

    def left(self, request: Any) -> None:
        """Take down that a request left the queue otherwise than from its head."""
        if not self._by_priority:
            return
        place = bisect_left(self._order, request)
        if place < len(self._order) and self._order[place] is request:
            del self._order[place]

    def admitted(self, requests: Sequence[Any], rows: Any) -> None:
        """Take down who was admitted, from the head on."""
        many = len(requests)
        if self._by_priority:
            for request in requests:
                self.left(request)
        if self._shown[:many] != list(requests):
            self._shown.clear()  # some were passed over
            return
        rest = len(self._shown) - many
        if many:
            move_up(rows, many, rest)
            del self._shown[:many]

    def fill(self, view: View, queue: Any) -> int:
        """Bring ``view.waiting`` up to date with vLLM's queue; returns how many are shown."""
        rows = view.waiting
        line = self._line(queue)
        many = min(len(line), rows.size)
        have = len(self._shown)
        kept = 0 < have <= many and line[0] is self._shown[0] and line[have - 1] is self._shown[-1]
        if not kept:
            self._shown.clear()
            have = 0
        if have < many:
            more = list(islice(line, have, many))
            for at, request in enumerate(more, have):
                rows[at] = self._seen(request)
            self._shown += more
        return many

    def head(self, many: int) -> Sequence[Any]:
        """The first so many requests of those shown."""
        return self._shown[:many]

    def _seen(self, request: Any) -> SeenRow:
        return seen(request, self._longest, arrived=self._arrived(request))

    def _line(self, queue: Any) -> Any:
        if not self._by_priority:
            return queue
        if len(self._order) != len(queue) or (
            self._order and self._order[0] is not queue.peek_request()
        ):
            self._order = list(queue)
            self._shown.clear()
        return self._order
