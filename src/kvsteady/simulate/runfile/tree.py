"""YAML as plain data, with the line on which each part stands.

Scalars are read as YAML 1.2 does: ``on`` is a word, ``1e-3`` a number and ``16:30`` no number,
unlike in PyYAML's YAML 1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from kvsteady.errors import InputError, shown
from kvsteady.simulate.places import Places

_DEEPEST = 20
_INT = re.compile(r"[-+]?[0-9][0-9_]*\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
    ".inf": float("inf"),
    ".nan": float("nan"),
}


@dataclass
class Tree:
    """What a file says, and where: paths as msgspec writes them, ``$.load.rate``."""

    data: Any = None
    lines: dict[str, int] = field(default_factory=dict)

    def line(self, path: str) -> int | None:
        """The line of a path, or of the nearest part around it."""
        return Places("", self.lines).line(path)


def parse_yaml(text: str, file: str) -> Tree:
    """Read one YAML document of mappings, lists and scalars.

    Raises
    ------
    InputError
        No YAML, several documents, an alias, a key twice, or nested too deep; with the line.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(
            f"no YAML: {error.problem}", file=file, line=None if mark is None else mark.line + 1
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"no YAML: {error}", file=file) from None
    tree = Tree()
    tree.data = {} if node is None else _plain(node, "$", tree.lines, file, set())
    return tree


def _plain(node: Any, path: str, lines: dict[str, int], file: str, above: set[int]) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    if id(node) in above or len(above) > _DEEPEST:
        raise InputError("nested too deep", file=file, line=line)
    above = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or name in found:
                raise InputError(
                    f"{shown(name)} is given twice"
                    if isinstance(key, yaml.ScalarNode)
                    else "a key is no word",
                    file=file,
                    line=key.start_mark.line + 1,
                )
            found[name] = _plain(value, f"{path}.{name}", lines, file, above)
            lines[f"{path}.{name}"] = key.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(value, f"{path}[{place}]", lines, file, above)
            for place, value in enumerate(node.value)
        ]
    return _scalar(node)


def _scalar(node: Any) -> Any:
    text = str(node.value)
    return text if node.style is not None else plain_value(text)  # quoted: text


def plain_value(text: str) -> Any:
    """What an unquoted word stands for: a number, true, false, null, or itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    plain = text.replace("_", "")
    if _INT.match(text) and len(plain) < 40:
        return int(plain)
    return float(plain) if _FLOAT.match(text) else text
