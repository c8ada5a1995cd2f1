"""Whatever goes wrong, and whatever SGLang is asked to do besides, it goes on as it would alone."""

from __future__ import annotations

import logging
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest

from kvsteady.plugins import Settings
from kvsteady.plugins.sglang import supported
from kvsteady.plugins.sglang.hooks import gate_at

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.drive import Scheduler
from engines.sglang.plugged import (
    HOOKED,
    Arrival,
    Driver,
    Knobs,
    guard,
    plugged,
    prioritised,
    saturate,
)

KNOBS = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
FIXED = [Arrival(0, 20, 40, 40)] * 3000
LOG = "kvsteady.plugins"


def stock(steps: int) -> list[Any]:
    return saturate(Driver(KNOBS), FIXED, steps).steps


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOG and r.levelno > logging.INFO]


# -- where nobody asks ---------------------------------------------------------------------------


def test_installed_but_not_asked_for_it_hooks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before = {name: Scheduler.__dict__[name] for name in HOOKED}
    with plugged(), caplog.at_level(logging.INFO, LOG):
        assert before == {name: Scheduler.__dict__[name] for name in HOOKED}
    assert caplog.messages == []


def test_sglang_finds_it_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(__file__).parents[3] / "pyproject.toml"
    points = tomllib.loads(file.read_text("utf-8"))["project"]["entry-points"]
    [(name, value)] = points["sglang.srt.plugins"].items()
    plugins = import_module("sglang.srt.plugins")
    point = metadata.EntryPoint(name, value, "sglang.srt.plugins")
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [point] if "plugins" in group else []
    )
    found = plugins.load_plugins_by_group("sglang.srt.plugins")
    assert found == {"kvsteady": (import_module("kvsteady.plugins.sglang").plugin, None)}


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "text"),
    [({"policy": "steddy"}, "no policy 'steddy'"), ({"mode": "on"}, "'on'")],
)
def test_wrong_settings_are_one_line(
    environment: dict[str, str], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with plugged(**environment):
        found = saturate(Driver(KNOBS), FIXED, 60).steps
    assert found == stock(60)
    [line] = lines(caplog)
    assert text in line


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("VERSIONS", ("0.4.0",)), "SGLang 0.5.23 is not one of those it knows (0.4.0)"),
        (("_CALLED", {f"{supported.ADDER}.gone": ("self",)}), "has no PrefillAdder.gone"),
        (("_CALLED", {f"{supported.ADDER}.add_one_req": ("self", "r")}), "takes ['self', 'req']"),
    ],
)
def test_an_unknown_version_is_left_alone(
    change: tuple[str, Any],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(supported, *change)
    before = {name: Scheduler.__dict__[name] for name in HOOKED}
    with plugged(policy="steady"):
        assert before == {name: Scheduler.__dict__[name] for name in HOOKED}
    [line] = lines(caplog)
    assert text in line


def test_of_the_version_installed_all_is_there() -> None:
    assert supported.why_not_version() is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("require_mlp_sync", True, "DP attention is a mode"),
        ("prefill_delayer", object(), "prefill delayer"),
        ("is_hybrid_swa", True, "sliding-window"),
        ("enable_hierarchical_cache", True, "hierarchical cache"),
        ("max_total_num_tokens", None, "TypeError"),
    ],
)
def test_modes_are_left_alone(
    name: str, value: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Driver(KNOBS).scheduler
    setattr(scheduler, name, value)
    for _ in range(2):
        assert gate_at(scheduler, Settings(policy="rate-cap:rate=1")) is None
    [line] = lines(caplog)
    assert text in line


def test_disaggregated_engines_are_left_alone() -> None:
    scheduler = Driver(KNOBS).scheduler
    modes = type(scheduler.disaggregation_mode)
    for mode in (modes.PREFILL, modes.DECODE):
        scheduler.disaggregation_mode = mode
        assert "disaggregated" in (supported.why_not_mode(scheduler) or "")
    scheduler.disaggregation_mode = modes.NULL
    assert supported.why_not_mode(scheduler) is None


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")


def fail(driver: Driver, where: str) -> None:
    regulator, residents = guard(driver).regulator, guard(driver)._residents
    if where == "slow":
        seconds = iter(range(10**9))
        regulator._clock = lambda: float(next(seconds))
    elif where == "policy":
        regulator.room_for = broken
    else:
        setattr(residents, where, broken)


@pytest.mark.parametrize("where", ["policy", "slow", "look", "admit"])
def test_after_a_failure_decisions_are_the_engines_own(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(KNOBS)
    with plugged(policy="rate-cap:rate=0.8", budget_ms="900"):
        regulated = saturate(driver, FIXED, 101).steps
        fail(driver, where)
        rest = saturate(driver, FIXED, 200).steps
    [line] = lines(caplog)
    assert "steps aside" in line
    # It limits until it failed: a slow policy to the eighth time, one that cannot take down what
    # it did to its next admission.
    kinds = [step.kind for step in rest]
    limited = {"slow": 7, "admit": kinds.index("prefill") + 1}.get(where, 0)
    again = Driver(KNOBS)
    with plugged(policy="rate-cap:rate=0.8", budget_ms="900"):
        expected = saturate(again, FIXED, 101 + limited).steps
    expected += saturate(again, FIXED, 200 - limited).steps
    assert regulated + rest == expected


def test_without_a_class_that_admits_sglangs_own_does(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(KNOBS)
    with plugged(policy="rate-cap:rate=0.8"):
        made = gate_at(driver.scheduler, Settings(policy="rate-cap:rate=0.8"))
        setattr(made, "adder", broken)  # noqa: B010 - a method
        found = saturate(driver, FIXED, 100).steps
    assert found == stock(100)
    [line] = lines(caplog)
    assert "RuntimeError: broken on purpose" in line


def test_what_fails_in_the_middle_of_a_pass_lets_go_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    knobs = Knobs(tokens=1620, max_running_requests=8, disable_radix_cache=True)
    driver = Driver(knobs)
    prioritised(driver)
    driver.scheduler.enable_priority_preemption = True
    with plugged(policy="max-active:requests=3"):
        for _ in range(20):
            driver.add(Arrival(0, 20, 40, 40))
            driver.scheduler.waiting_queue[-1].priority = 0
        assert len(driver.step().running) == 3
        asked = driver.scheduler.get_num_allocatable_reqs

        def fails_us(*about: Any, **named: Any) -> int:
            if sys._getframe(1).f_code.co_name == "may_preempt":
                broken()
            return int(asked(*about, **named))

        driver.scheduler.get_num_allocatable_reqs = fails_us
        assert len(driver.step().running) == 8
    [line] = lines(caplog)
    assert "RuntimeError: broken on purpose" in line


def test_metrics_that_fail_are_given_up_and_no_rank_parts_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with plugged(policy="rate-cap:rate=0.8"):
        found = saturate(Driver(KNOBS), FIXED, 200).steps
        driver = Driver(KNOBS)
        driver.scheduler.metrics_reporter.enable_metrics = True
        steps = saturate(driver, FIXED, 50).steps
        guard(driver)._metrics._gauges = {}
        steps += saturate(driver, FIXED, 150).steps
        assert guard(driver).regulator.why_aside is None
    [line] = lines(caplog)
    assert "keeps no more metrics: KeyError" in line
    assert steps == found
