from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from chromium import Browser, find_browser
from report_samples import HOSTILE, SYSTEMS

from kvsteady.advise import Analysis, check


@pytest.fixture(scope="session")
def analyses() -> dict[str, Analysis]:
    return {name: check(system()) for name, system in SYSTEMS.items()}


@pytest.fixture(scope="session", params=SYSTEMS)
def analysis(request: pytest.FixtureRequest, analyses: dict[str, Analysis]) -> Analysis:
    return analyses[request.param]


@pytest.fixture(scope="session")
def hostile(analyses: dict[str, Analysis]) -> Analysis:
    """Every text of an analysis replaced by one that breaks careless output."""
    data = msgspec.to_builtins(analyses["tiers"])
    kept = {"policy", "arithmetic", "start", "eviction", "weights_monotone"}

    def spoil(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {name: spoil(item, name) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [spoil(item, key) for item in value] or (
                [HOSTILE] if key in ("notes", "memory_notes") else []
            )
        return HOSTILE if isinstance(value, str) and key not in kept else value

    return msgspec.convert(spoil(data), Analysis)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the path")
    running = Browser(program, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()
