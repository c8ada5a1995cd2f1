"""Tests against real engines, each in an environment of its own (`requirements/`).

Where an engine is not installed its tests are skipped. At the end of a session stands how much was
compared.
"""

from __future__ import annotations

from collections import Counter

import pytest

_COMPARED: dict[str, Counter[str]] = {}


def pytest_configure(config):
    # The engines' own dependencies warn when they are imported; nothing to mend here.
    for package in ("torch", "transformers", "vllm", "sglang"):
        config.addinivalue_line("filterwarnings", f"ignore:::{package}")
        config.addinivalue_line("filterwarnings", f"ignore:::{package}[.]")


@pytest.fixture
def compared():
    """``compared(what, configurations=1, steps=500, …)`` adds to the count at the session's end."""

    def add(what: str, **counts: int) -> None:
        _COMPARED.setdefault(what, Counter()).update(counts)

    return add


def pytest_terminal_summary(terminalreporter):
    for what, counts in _COMPARED.items():
        numbers = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        terminalreporter.write_line(f"equal decisions, {what}: {numbers}")
