"""With a prefix that many share, `steady` admits what fits: it counts what is there once."""

from __future__ import annotations

import random
from importlib import metadata

import pytest

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang import drive
from engines.sglang.plugged import Arrival, Driver, Knobs, guard, plugged, saturate

PAGE = 4
STEPS, WARM = 900, 300


def system_prompt(requests: int, prefix: int = 32) -> list[Arrival]:
    """A prefix of 8 pages, 3 to 9 tokens more, outputs 32 to 64."""
    draw = random.Random(4)
    asked = []
    for _ in range(requests):
        prompt, output = prefix + draw.randint(3, 9), draw.randint(32, 64)
        own = [100 + draw.randrange(100_000) for _ in range(prompt + output - prefix)]
        asked.append(Arrival(0, prompt, output, output, tuple([7] * prefix + own)))
    return asked


def test_it_serves_as_many_as_sglang_alone_and_nobody_is_retracted() -> None:
    knobs = Knobs(tokens=4000, max_running_requests=512, page_size=PAGE, disable_radix_cache=False)
    asked = system_prompt(4000)
    stock = saturate(Driver(knobs), asked, STEPS)
    rates = {}
    for sees in (True, False):
        with plugged(policy="steady", budget_ms="100000"):
            driver = Driver(knobs)
            driver.step()  # it takes its place
            if not sees:  # each is taken to hold all its tokens alone
                guard(driver)._sharing = guard(driver)._residents._sharing = None
            run = saturate(driver, asked, STEPS)
        assert guard(driver).regulator.why_aside is None
        assert run.count("retracted", WARM) == 0
        rates[sees] = run.rate(WARM)
    assert rates[True] >= stock.rate(WARM)
    assert rates[False] < 0.7 * stock.rate(WARM)


@pytest.fixture(params=["UnifiedTreeCore", "RustUnifiedTreeCore"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of SGLang's trees; by itself it takes the one in Rust where it can."""
    name: str = request.param
    plain = drive.CacheInitParams
    backend = {"tree_core_backend": "rust" if name.startswith("Rust") else "python"}
    monkeypatch.setattr(drive, "CacheInitParams", lambda **given: plain(**{**given, **backend}))
    return name


def text(*parts: tuple[int, int]) -> tuple[int, ...]:
    """So many tokens of each kind."""
    return tuple(kind for kind, many in parts for _ in range(many))


class Told:
    """An engine that one request is given after the other, and what its policy is shown."""

    def __init__(self) -> None:
        self.driver = Driver(
            Knobs(tokens=2000, max_running_requests=16, page_size=4, disable_radix_cache=False)
        )
        self.driver.step()
        self.guard = guard(self.driver)

    def add(self, prompt: int, *parts: tuple[int, int]) -> list[int]:
        """Tokens shared by each in memory, when the newcomer has just been computed."""
        output = sum(many for _, many in parts) - prompt
        self.driver.add(Arrival(0, prompt, output, output, text(*parts)))
        while self.driver.scheduler.waiting_queue:
            self.driver.step()
        self.driver.step()
        return self.shown()

    def shown(self) -> list[int]:
        self.driver.step()
        assert self.guard.regulator.why_aside is None
        view = self.guard.regulator.view
        return [int(n) for n in view.running["shared"][: view.facts["shown_running"]]]

    def compared(self) -> list[int]:
        """The same, all paths compared."""
        self.guard._sharing._age = 1000
        return self.shown()


def test_what_several_hold_is_what_is_on_their_common_pages(core: str) -> None:
    with plugged(policy="steady", budget_ms="100000"):
        told = Told()
        assert type(told.driver.scheduler.tree_cache.tree_core).__name__ == core
        assert told.add(13, (11, 10), (12, 40)) == [0]
        # 10 tokens in common are 2 whole pages; of the first it is known when all are compared.
        assert told.add(14, (11, 10), (13, 200)) == [0, 8]
        assert told.compared() == [8, 8]
        # 5 in common are 1 page.
        assert told.add(9, (11, 5), (14, 200)) == [8, 8, 4]
        while len(told.shown()) == 3:
            pass
        # The first has ended, and only that page is in two hands.
        assert told.compared() == [4, 4]
        # It finds 5 pages of who has ended: 2 that the second holds, and 3 that nobody does.
        assert told.add(21, (11, 10), (12, 11), (15, 100)) == [4, 4, 8]
        assert told.compared() == [8, 4, 8]


def test_without_a_cache_nobody_is_looked_at() -> None:
    with plugged(policy="steady"):
        driver = Driver(Knobs(tokens=2000, max_running_requests=16, page_size=4))
        driver.step()
        assert guard(driver)._sharing is None


@pytest.mark.parametrize("asked", ["protected_size", "tree_core"])
def test_where_sharing_cannot_be_read_sglang_goes_on_alone(asked: str) -> None:
    class Broken:
        tree_core = object()

        def protected_size(self) -> int:
            if asked == "protected_size":
                raise RuntimeError("not here")
            return 0

    knobs = Knobs(tokens=2000, max_running_requests=64, page_size=PAGE, disable_radix_cache=False)
    with plugged(policy="steady", budget_ms="100000"):
        driver = Driver(knobs)
        driver.step()
        regulator = guard(driver).regulator
        guard(driver)._sharing._tree = Broken()
        run = saturate(driver, system_prompt(60), 600)
    assert "it failed: " in regulator.why_aside
    assert sorted(number for step in run.steps for number in step.finished) == list(range(60))
