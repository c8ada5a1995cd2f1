"""API pages from the package tree, and docstrings whose names link to them.

A public package is one with ``__all__``. It gets a page with a section for each module that its
names come from; a name that several packages export stands on the page of the innermost. So a new
package or module appears without an edit here.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import kvsteady

# Modules that stand beside the packages and belong to the public face; the last are for those who
# write an engine.
SINGLE_MODULES = (
    "kvsteady.errors",
    "kvsteady.progress",
    "kvsteady.simulate.doors",
    "kvsteady.simulate.moves",
    "kvsteady.simulate.integrity",
)
# Documented as a command; its modules read the command line when imported.
COMMAND = ("kvsteady.cli", "kvsteady.__main__")


@cache
def tree() -> tuple[ModuleType, ...]:
    """Every module of kvsteady that can be imported here, but the command."""
    return tuple(
        module
        for info in pkgutil.walk_packages(kvsteady.__path__, "kvsteady.")
        if not info.name.startswith(COMMAND)
        if (module := imported(info.name)) is not None
    )


def imported(name: str) -> ModuleType | None:
    """A module; None where it is a plug-in whose engine is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if name.startswith("kvsteady.plugins.") and not str(error.name).startswith("kvsteady"):
            return None
        raise


@cache
def homes() -> dict[str, dict[str, list[str]]]:
    """Public packages, innermost first, to the modules their names come from, to those names."""
    packages = [module for module in tree() if hasattr(module, "__all__")]
    taken: set[int] = set()
    found: dict[str, dict[str, list[str]]] = {}
    for module in sorted(packages, key=lambda module: -module.__name__.count(".")):
        package, origin = module.__name__, imported_from(module)
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) in taken or inspect.ismodule(value):
                continue
            taken.add(id(value))
            found.setdefault(package, {}).setdefault(origin.get(name, package), []).append(name)
    for single in SINGLE_MODULES:
        module = importlib.import_module(single)
        own = [name for name, value in vars(module).items() if is_own(value, single)]
        found[single] = {single: own}
    return found


def imported_from(package: ModuleType) -> dict[str, str]:
    """Where the ``__init__`` of a package imports each of its names from, at once or when asked."""
    body = ast.parse(inspect.getsource(package)).body
    late = [statement for block in body if isinstance(block, ast.If) for statement in block.body]
    return {
        alias.asname or alias.name: statement.module or ""
        for statement in (*body, *late)
        if isinstance(statement, ast.ImportFrom) and not statement.level
        for alias in statement.names
    }


def is_own(value: object, module: str) -> bool:
    """Whether a class, function or kernel is public and defined in that module."""
    value = getattr(value, "py_func", value)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return False
    return value.__module__ == module and not value.__name__.startswith("_")


@cache
def documented() -> dict[int, str]:
    """The identity of every public object to the dotted name it is documented under."""
    return {
        id(getattr(importlib.import_module(package), name)): f"{package}.{name}"
        for package, modules in homes().items()
        for names in modules.values()
        for name in names
    }


def resolve(text: str, scope: ModuleType | None = None) -> str | None:
    """The documented name that ``text`` means in a module, or as a full dotted name.

    None if it is known and has no page; LookupError if there is no such thing.
    """
    for value, rest in meanings(text, scope):
        with suppress(LookupError):
            return follow(value, rest)
    raise LookupError(text)


def meanings(text: str, scope: ModuleType | None) -> Iterator[tuple[object, list[str]]]:
    """What a dotted name may start from, the likeliest first, and what is left of it."""
    parts = text.split(".")
    first, *rest = parts
    if first == "kvsteady":
        yield kvsteady, rest
        # A function may hide the module it is named after: kvsteady.theory.certify.certify.
        modules = {module.__name__: module for module in tree()}
        for end in range(len(parts), 1, -1):
            if ".".join(parts[:end]) in modules:
                yield modules[".".join(parts[:end])], parts[end:]
        return
    for place in (*filter(None, (scope,)), kvsteady, *tree()):
        if hasattr(place, first):
            yield getattr(place, first), rest


def follow(value: object, rest: list[str]) -> str | None:
    """The documented name of an attribute of an attribute of … a value."""
    name = documented().get(id(value))
    for attribute in rest:
        if attribute in getattr(value, "__annotations__", {}):
            if "Attributes\n---" not in (inspect.getdoc(value) or ""):
                return name  # the class alone has a place on its page
            value = None  # a field of a dataclass is no attribute of the class
        else:
            try:
                value = getattr(value, attribute)
            except AttributeError:
                raise LookupError(attribute) from None
            except ModuleNotFoundError:
                return None  # a plug-in's class, where its engine is not installed
        name = f"{name}.{attribute}" if name else documented().get(id(value))
    return name


def write_pages(app: Sphinx) -> None:
    """Write ``api/*.rst``; files that would not change keep their date."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = {f"{package}.rst": page(package) for package in sorted(homes())}
    for stale in set(folder.iterdir()) - {folder / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        target = folder / name
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")


def page(package: str) -> str:
    """The page of one package."""
    modules = homes()[package]
    lines = [f"{package}", "=" * len(package), "", *introduction(package)]
    for module, names in modules.items():
        if module != package:
            title = module.removeprefix(f"{package}.")
            lines += [title, "-" * len(title), "", *introduction(module)]
        lines += [f".. py:currentmodule:: {package}", ""]
        for name in names:
            lines += directive(package, module, name)
    return "\n".join(lines)


def introduction(module: str) -> tuple[str, ...]:
    """The docstring of a module, without a name in the index: functions share some of them."""
    return (f".. automodule:: {module}", "   :no-index:", "")


def directive(package: str, module: str, name: str) -> Iterator[str]:
    """The directive that documents one name."""
    value = getattr(importlib.import_module(package), name)
    if inspect.isclass(value):
        yield f".. autoclass:: {name}"
        yield "   :members:"
        if fields := getattr(value, "_fields", ()):
            yield f"   :exclude-members: {', '.join(fields)}"  # "Alias for field number 0"
        if issubclass(value, Enum):
            yield "   :undoc-members:"
        if issubclass(value, BaseException):
            yield "   :show-inheritance:"
    elif inspect.isroutine(value) or hasattr(value, "py_func"):
        yield f".. autofunction:: {name}"
    else:
        yield f".. py:data:: {name}"
        text = repr(value)
        if len(text) < 80 and " at 0x" not in text:
            yield f"   :value: {text}"
        yield ""
        comment = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name), [])
        yield from (f"   {line}" for line in comment)
    yield ""


# `name` and `module.name`, but not ``name`` and not :role:`name`.
SINGLE = re.compile(r"(?<![`:\w])`([^`\s][^`]*)`(?!`)")
NAME = re.compile(r"[A-Za-z_][\w.]*")
SEMANTICS = {value.value: f"kvsteady.model.Eviction.{value.name}" for value in kvsteady.Eviction}
SECTION = re.compile(r"theory: (section \d)")
LITERAL = re.compile(r"(``.*?``)")


def link_names(
    _app: Sphinx, what: str, name: str, obj: object, _options: object, lines: list[str]
) -> None:
    """Turn `name` into a link if it has a page and into code otherwise; free ``|`` and ``*``."""
    scope = inspect.getmodule(obj) or _module_of(name)

    def link(match: re.Match[str]) -> str:
        text = match[1]
        if not NAME.fullmatch(text):
            return f"``{text}``"
        try:
            target = SEMANTICS.get(text) or resolve(text, scope)
        except LookupError:
            return f":py:obj:`{text}`"  # nitpicky: the build fails on it
        return f":py:obj:`{text} <{target}>`" if target else f"``{text}``"

    for number, line in enumerate(lines):
        parts = LITERAL.split(line)
        parts[::2] = [SINGLE.sub(link, part.replace("|", r"\|")) for part in parts[::2]]
        lines[number] = SECTION.sub(r":doc:`theory: \1 </theory>`", "".join(parts))
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # or napoleon takes what stands before a colon for a type
    else:
        lines[:] = with_notes(one_by_one(lines))


def one_by_one(lines: list[str]) -> list[str]:
    """Give attributes that share a description (``a, b``) one each: napoleon reads one name."""
    found: list[str] = []
    for number, line in enumerate(lines):
        if not re.fullmatch(r"\w+(, \w+)+", line):
            found.append(line)
            continue
        text = list(takewhile(lambda below: below.startswith(" "), lines[number + 1 :]))
        *others, last = line.split(", ")
        for name in others:
            found += [name, *text]
        found.append(last)
    return found


def with_notes(lines: list[str]) -> list[str]:
    """Begin a section of notes where prose follows a section: napoleon takes it for a name."""
    found: list[str] = []
    listing = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r"-{3,}", below) and line:
            listing = line != "Notes"
        elif listing and line and not line.startswith((" ", "-")) and not below.startswith(" "):
            found += ["Notes", "-----"]
            listing = False
        found.append(line)
    return found


def without_factories(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, *signature: str | None
) -> tuple[str | None, ...]:
    """Write ``...`` for a default that is made anew each time, so that Sphinx can read the rest."""
    return tuple(part and part.replace("= <factory>", "= ...") for part in signature)


def has_no_page(_app: Sphinx, _domain: object, node: pending_xref) -> bool:
    """Whether a name in a signature is private, or a type variable."""
    module, _, name = str(node.get("reftarget")).rpartition(".")
    if not module.startswith("kvsteady."):
        return False
    return name.startswith("_") or isinstance(getattr(sys.modules.get(module), name, None), TypeVar)


def link_code(_app: Sphinx, doctree: nodes.document) -> None:
    """Make a link of `kvsteady.…` written as code in a page, where that has a page."""
    for code in list(doctree.findall(nodes.literal)):
        text = code.astext()
        inside = isinstance(code.parent, (nodes.reference, pending_xref))
        if inside or not text.startswith("kvsteady.") or not NAME.fullmatch(text):
            continue
        target = resolve(text)
        if target:
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=target)
            code.replace_self(link)
            link += code


def _module_of(name: str) -> ModuleType | None:
    while name:
        try:
            return importlib.import_module(name)
        except ImportError:
            name = name.rpartition(".")[0]
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", link_names, priority=400)
    app.connect("autodoc-process-signature", without_factories)
    app.connect("warn-missing-reference", has_no_page)
    app.connect("doctree-read", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
