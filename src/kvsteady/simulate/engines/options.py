"""An engine from options as a file or a command line gives them: words and numbers."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from kvsteady.errors import InputError, shown
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines import engine_class

_FIELD = "engine.options"
# YAML 1.2 and shells have no `on`; whoever writes an engine's flags has.
_SWITCHES = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
_UNFIT = object()


def made_engine(name: str, options: Mapping[str, Any]) -> Engine:
    """Make the engine of that name.

    Parameters
    ----------
    name
        As in `kvsteady.simulate.engines.ENGINES`.
    options
        Fields of its dataclass. ``on``, ``off``, ``yes`` and ``no`` are switches, ``1e3`` is a
        whole number, a whole number also a real one.

    Raises
    ------
    InputError
        No engine or option of that name, or a value of the wrong type or out of range; it names
        engine, option and what is allowed.
    """
    kind = engine_class(name)
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    values = {}
    for option, given in options.items():
        if option not in known:
            raise InputError(
                f"{name} has no option {shown(option)}",
                field=f"{_FIELD}.{option}",
                allowed=", ".join(known),
            )
        values[option] = _converted(given, hints[option])
        if values[option] is _UNFIT:
            raise InputError(
                f"{name}: {shown(given)} cannot stand here",
                field=f"{_FIELD}.{option}",
                allowed=" or ".join(_words(part) for part in _parts(hints[option])),
            )
    try:
        engine: Engine = kind(**values)
    except InputError as error:
        raise error.but(
            problem=f"{name}: {error.problem}", field=f"{_FIELD}.{error.field}"
        ) from None
    return engine


def _parts(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _converted(value: Any, hint: Any) -> Any:
    """The value as one of the types of a field."""
    for part in _parts(hint):
        if (found := _as(part, value)) is not _UNFIT:
            return found
    return _UNFIT


def _as(kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _UNFIT
    if kind is types.NoneType:
        return None if value is None else _UNFIT
    if kind is bool:
        return value if isinstance(value, bool) else _SWITCHES.get(str(value).lower(), _UNFIT)
    if kind is str:  # the engine says itself which words it knows
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _UNFIT
    if kind is float:
        return float(value)
    whole = isinstance(value, int) or value.is_integer()
    return int(value) if whole else _UNFIT


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    names = {types.NoneType: "null", bool: "on or off", int: "a whole number", float: "a number"}
    return names.get(kind, "a word")
