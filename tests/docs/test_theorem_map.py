"""Every function and test that docs/theorems.md names is there."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "theorems.md").read_text("utf-8")
WHOSE = ("Paper", "Ours", "Classical", "Open")


@dataclass(frozen=True)
class Row:
    claim: str
    whose: str
    functions: tuple[str, ...]
    tests: tuple[str, ...]


def rows(page: str = PAGE) -> list[Row]:
    found = []
    for line in page.splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| claim")):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 4, line
            claim, whose, functions, tests = cells
            found.append(Row(claim, whose, named(functions), named(tests)))
    return found


def named(cell: str) -> tuple[str, ...]:
    """The names in backticks; nothing but commas stands between them."""
    assert not re.sub(r"`[^`]+`|[, ]", "", cell), cell
    return tuple(re.findall(r"`([^`]+)`", cell))


def found_object(name: str) -> object:
    """The object of a dotted name; a function may hide the module it is named after."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        with contextlib.suppress(ImportError, AttributeError):
            module = importlib.import_module(".".join(parts[:end]))
            return functools.reduce(getattr, parts[end:], module)
    raise AttributeError(name)


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.claim[:60])
def test_a_row_names_whose_it_is_and_things_that_exist(row: Row) -> None:
    assert row.whose.startswith(WHOSE)
    assert row.functions
    assert row.tests or row.whose.startswith("Open")
    for name in row.functions:
        assert name.startswith("kvsteady.")
        assert callable(found_object(name)), name
    for test in row.tests:
        file, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in names_in(file), test


def test_the_theorems_of_the_paper_are_all_there() -> None:
    named_results = " ".join(row.whose for row in rows())
    for result in ("Theorem 2", "Theorem 3", "Proposition 4"):
        assert result in named_results


def test_a_name_that_is_gone_would_be_noticed() -> None:
    (row,) = rows("| x | Ours | `kvsteady.no_such` | `tests/test_readme.py::test_no_such` |")
    with pytest.raises(AttributeError):
        found_object(row.functions[0])
    assert "test_no_such" not in names_in("tests/test_readme.py")
