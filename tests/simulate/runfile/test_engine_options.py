"""Options of every engine from words and numbers: converted, or refused in one line."""

from __future__ import annotations

import types
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.engines import ENGINES, engine_class
from kvsteady.simulate.engines.options import made_engine
from kvsteady.simulate.runfile import plain_value

EVERY = [(name, field.name) for name in ENGINES for field in fields(engine_class(name))]
SWITCHES = [
    (name, option) for name, option in EVERY if get_type_hints(engine_class(name))[option] is bool
]
ODD: list[Any] = [
    "foo", "", None, True, False, 1.5, -1, -7, 0, 1e3, 10**30, float("nan"), float("inf"),
]  # fmt: skip


def types_of(name: str, option: str) -> tuple[type, ...]:
    """The plain types that a field may have; a literal is a word."""
    hint = get_type_hints(engine_class(name))[option]
    parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(part if isinstance(part, type) else str for part in parts)


def test_there_are_switches_to_test() -> None:
    assert ("vllm", "enable_prefix_caching") in SWITCHES
    assert len({name for name, _ in SWITCHES}) >= 4


@pytest.mark.parametrize(("name", "option"), EVERY)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_value_is_of_the_fields_type_or_refused_by_name(
    name: str, option: str, value: Any
) -> None:
    refused: InputError | None = None
    try:
        engine = made_engine(name, {option: value})
    except InputError as error:
        refused = error
    if refused is None:
        assert type(getattr(engine, option)) in types_of(name, option)
        engine.habits()  # nor does the kernel's side of it complain
    else:
        assert f"{name}: " in refused.problem
        assert str(refused.field).startswith("engine.options.")
        assert refused.allowed
        assert "\n" not in str(refused)


@pytest.mark.parametrize(("name", "option"), SWITCHES)
@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("on", True), ("yes", True), ("true", True), ("ON", True), ("True", True),
        ("off", False), ("no", False), ("false", False), ("Off", False), ("FALSE", False),
    ],
)  # fmt: skip
def test_switches(name: str, option: str, word: str, value: bool) -> None:
    assert getattr(made_engine(name, {option: word}), option) is value
    assert getattr(made_engine(name, {option: plain_value(word)}), option) is value


@pytest.mark.parametrize("value", [0, 1, 1.0, "1", "enabled", None])
def test_what_is_no_switch(value: Any) -> None:
    with pytest.raises(InputError, match=r"vllm.*on or off"):
        made_engine("vllm", {"enable_prefix_caching": value})


@pytest.mark.parametrize(("name", "option"), EVERY)
def test_defaults_come_back_from_the_command_line(name: str, option: str) -> None:
    default = getattr(engine_class(name)(), option)
    text = "null" if default is None else str(default)
    assert made_engine(name, {option: plain_value(text)}) == engine_class(name)()


def test_numbers_in_other_forms() -> None:
    assert made_engine("vllm", {"max_num_seqs": 1e3}).max_num_seqs == 1000
    assert type(made_engine("vllm", {"max_num_seqs": 1e3}).max_num_seqs) is int
    assert made_engine("vllm", {"watermark": 0}).watermark == 0.0
    assert made_engine("vllm", {"max_num_active_seqs": None}).max_num_active_seqs is None


@pytest.mark.parametrize(
    ("name", "option", "value", "allowed"),
    [
        ("vllm", "watermark", "foo", "a number"),
        ("vllm", "watermark", 2, "a share from 0"),
        ("vllm", "max_num_seqs", 1.5, "a whole number"),
        ("vllm", "max_num_active_seqs", "many", "a whole number or null"),
        ("vllm", "policy", "lifo", "fcfs or priority"),
        ("vllm", "version", 0.32, "0.32.0 or 0.33.0"),
        ("tensorrt-llm", "policy", 3, "GUARANTEED_NO_EVICT"),
        ("transformers", "scheduler_type", "lifo", "prefill_first"),
        ("sglang", "max_running", 3, "max_running_requests"),
    ],
)
def test_what_is_allowed_is_said(name: str, option: str, value: Any, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        made_engine(name, {option: value})
    assert caught.value.field == f"engine.options.{option}"
    assert name in caught.value.problem
    assert allowed in (caught.value.allowed or "")
