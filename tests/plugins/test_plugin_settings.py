"""What an operator may set, and how it is refused."""

from __future__ import annotations

import pytest

from kvsteady.errors import InputError
from kvsteady.plugins import Settings, read_settings, settings_of_environment


def test_nothing_set_is_steady_enforced() -> None:
    for found in (read_settings(None), read_settings({}), settings_of_environment({"HOME": "/"})):
        assert found == Settings(policy="steady", mode="enforce", patience=1000, metrics=True)


def test_settings_from_a_mapping_and_from_the_environment_are_alike() -> None:
    given = {"policy": "rate-cap:rate=0.9", "mode": "shadow", "budget_ms": 2.5, "metrics": False}
    environ = {
        "KVSTEADY_POLICY": "rate-cap:rate=0.9",
        "KVSTEADY_MODE": "shadow",
        "KVSTEADY_BUDGET_MS": "2.5",
        "KVSTEADY_METRICS": "0",
    }
    assert read_settings(given) == settings_of_environment(environ)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"polcy": "steady"}, r"'polcy': no such setting \(allowed: policy, mode,"),
        ({"policy": "steddy"}, "no policy 'steddy'"),
        ({"policy": 3}, "field 'policy': 3"),
        ({"policy": "look-ahead"}, "know output lengths beforehand"),
        ({"policy": "greedy:victim=last-admitted"}, "keeps its own order"),
        ({"mode": "on"}, r"field 'mode': 'on' \(allowed: enforce, shadow\)"),
        ({"budget_ms": 0}, "field 'budget_ms': 0.0 .* above 0"),
        ({"budget_ms": float("nan")}, "field 'budget_ms': nan"),
        ({"patience": 0}, "field 'patience': 0"),
        ({"patience": "ten"}, "field 'patience': 'ten'"),
        ({"metrics": 2}, "field 'metrics': 2"),
    ],
)
def test_what_cannot_be_set_is_named(given: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        read_settings(given, file="--additional-config")


@pytest.mark.parametrize("given", ["steady", ["policy"], 3])
def test_settings_that_are_no_mapping_are_refused(given: object) -> None:
    with pytest.raises(InputError, match=r"no mapping of settings .*allowed: policy, mode"):
        read_settings(given, file="--additional-config")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("MODE", "on"), ("PATIENCE", "0.5"), ("BUDGET_MS", "fast"), ("METRICS", "perhaps")],
)
def test_a_variable_that_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"KVSTEADY_{name}.*{value}"):
        settings_of_environment({f"KVSTEADY_{name}": value})
