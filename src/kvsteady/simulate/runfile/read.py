"""From a YAML file to a checked `RunFile`, with errors that say where."""

from __future__ import annotations

import re
import types
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from kvsteady.errors import InputError
from kvsteady.progress import Progress, silent
from kvsteady.simulate.places import Places, located
from kvsteady.simulate.runfile.build import build
from kvsteady.simulate.runfile.schema import RunFile
from kvsteady.simulate.runfile.tree import Tree, parse_yaml
from kvsteady.simulate.scenario import Scenario

_LARGEST = 1 << 20
_PLACE = re.compile(r"\A(?P<problem>.*?)(?: - at `(?P<path>[^`]*)`)?\Z", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def read_run(path: str | PathLike[str]) -> RunFile:
    """Read a run file.

    Raises
    ------
    InputError
        It cannot be read, or holds what cannot stand there: file, line, field and what may stand.
    """
    return _read(path)[0]


def _read(path: str | PathLike[str]) -> tuple[RunFile, Places]:
    """The file's content, and where it stands."""
    name = fspath(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", file=name) from None
    except UnicodeDecodeError:
        raise InputError("is no UTF-8 text", file=name) from None
    if len(data) > _LARGEST:
        raise InputError("is too large for a run file", file=name, allowed=f"{_LARGEST:,} bytes")
    tree = parse_yaml(text, name)
    try:
        return msgspec.convert(tree.data, RunFile), Places(name, tree.lines)
    except msgspec.ValidationError as error:
        raise _located(str(error), tree, name) from None


def read_scenario(
    path: str | PathLike[str], *, seed: int | None = None, progress: Progress = silent
) -> Scenario:
    """Read a run file and what it names: trace, model config. Paths are relative to the file.

    ``seed`` takes the place of the one in the file.

    Raises
    ------
    InputError
        As `read_run`, or a value out of its range.
    """
    run, places = _read(path)
    if seed is not None:
        run = msgspec.structs.replace(run, seed=seed)
    with located(places):
        scenario = build(run, folder=Path(path).parent, progress=progress)
    return replace(scenario, places=places)


def _located(message: str, tree: Tree, file: str) -> InputError:
    """The complaint of msgspec with line, field, and what would have been accepted."""
    match = _PLACE.match(message)
    assert match is not None
    problem, path = match["problem"], match["path"] or "$"
    struct = _struct_at(tree.data, path)
    allowed = None
    if (unknown := _UNKNOWN.search(problem)) and struct is not None:
        path, problem = f"{path}.{unknown[1]}", "is unknown"
        allowed = ", ".join(_names(struct))
    elif "Invalid value" in problem and path.endswith(".kind"):
        allowed = ", ".join(_tags(path))
    return InputError(
        problem,
        file=file,
        line=tree.line(path),
        field=path.removeprefix("$").removeprefix(".") or None,
        allowed=allowed,
    )


def _names(struct: type[msgspec.Struct]) -> list[str]:
    tag = struct.__struct_config__.tag_field
    return [*([tag] if tag else []), *struct.__struct_fields__]


def _tags(path: str) -> list[str]:
    """Values that ``kind`` can have at a path."""
    field = path.split(".")[-2].partition("[")[0]
    hint = get_type_hints(RunFile).get(field)
    return [str(each.__struct_config__.tag) for each in _structs(hint)]


def _struct_at(data: Any, path: str) -> type[msgspec.Struct] | None:
    """The struct that a path leads to, among several by the tag of the data."""
    struct: type[msgspec.Struct] | None = RunFile
    for name in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        field, place = name
        if place:
            data = data[int(place)]
            continue
        if struct is None:
            return None
        data = data.get(field) if isinstance(data, dict) else None
        options = _structs(get_type_hints(struct).get(field))
        kind = data.get("kind") if isinstance(data, dict) else None
        tagged = [each for each in options if each.__struct_config__.tag == kind]
        struct = (tagged or options or [None])[0]  # type: ignore[list-item]  # no struct: None
    return struct


def _structs(hint: Any) -> list[type[msgspec.Struct]]:
    """All structs in a type."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    if get_origin(hint) in (Union, types.UnionType, list):
        return [struct for part in get_args(hint) for struct in _structs(part)]
    return []
