"""What Transformers' requests are to a policy: rows that are changed as requests come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np

from kvsteady.admission import NO_LIMIT
from kvsteady.admission.view import SeenRow


def row_of(state: Any, arrived: float, shared: int = 0) -> SeenRow:
    """A row of `kvsteady.admission` for a ``RequestState``.

    A request whose KV was dropped comes back as one with a longer prompt and a smaller limit. At
    its admission ``shared`` of its tokens stood in pages that another request held.
    """
    tokens = len(state.initial_tokens)
    prompt = state._true_initial_tokens or tokens
    again = tokens - prompt
    most = state.max_new_tokens
    limit = NO_LIMIT if most is None else most + again
    return prompt, again + len(state.generated_tokens), limit, 0, shared, 0, arrived


def is_complete(state: Any) -> bool:
    """Whether a request has all its output: it came to its limit, or to an end of sequence."""
    tokens = state.generated_tokens
    return len(tokens) >= state._new_tokens_limit or (
        bool(tokens) and tokens[-1] in state._eos_token_ids
    )


class Rows:
    """Requests in an order, and their rows at the front of an array that the policy sees.

    Parameters
    ----------
    array
        Returns the array with room for so many rows; it may become another one.
    """

    def __init__(self, array: Callable[[int], Any]) -> None:
        self._array = array
        self._records: Any = None
        self.names: list[str] = []

    @property
    def filled(self) -> Any:
        """The rows that stand for requests."""
        return self._array(0)[: len(self.names)]

    def append(self, name: str, row: SeenRow) -> None:
        """Put a request at the end."""
        many = len(self.names)
        self._array(many + 1)[many] = row
        self.names.append(name)

    def remove(self, name: str) -> bool:
        """Take a request out, if it is there."""
        try:
            place = self.names.index(name)
        except ValueError:
            return False
        many, rows = len(self.names), self._array(0)
        if rows is not self._records:  # as plain numbers: numpy copies records field by field
            self._records, self._numbers = rows, rows.view(np.int64).reshape(rows.size, -1)
        self._numbers[place : many - 1] = self._numbers[place + 1 : many]
        del self.names[place]
        return True

    def gain(self, names: Iterable[str] | None) -> None:
        """Count a token more for these; None: for all."""
        if names is None:
            self.filled["generated"] += 1
            return
        place = {name: i for i, name in enumerate(self.names)}
        generated = self.filled["generated"]
        for name in names:
            generated[place[name]] += 1

    def catch_up(self, order: Iterable[str], row: Callable[[str], SeenRow], many: int) -> None:
        """Append who follows in ``order``, until there are so many."""
        for name in islice(order, len(self.names), many):
            self.append(name, row(name))

    def clear(self) -> None:
        """Forget everybody."""
        self.names.clear()
