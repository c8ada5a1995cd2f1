"""Text from an analysis, made safe to show: names come from files and users."""

from __future__ import annotations

import html
from typing import Final

# What the package's own texts use beyond ASCII, for terminals and pipes that cannot write it.
_ASCII: Final = str.maketrans(
    {
        "×": "x",
        "→": "->",
        "–": "-",
        "−": "-",
        "…": "...",
        "≤": "<=",
        "≥": ">=",
        "·": "-",
        "•": "*",
        "ρ": "rho",
        "’": "'",
    }
)


def printable(text: str, *, lines: bool = False) -> str:
    """Control, bidirectional and unpaired-surrogate characters written as escapes.

    White space becomes one space each, except line feeds where ``lines``.
    """

    def shown(character: str) -> str:
        if character.isprintable() or (lines and character == "\n"):
            return character
        return " " if character.isspace() else character.encode("unicode_escape").decode("ascii")

    return "".join(map(shown, text))


def escaped(text: str, *, lines: bool = False) -> str:
    """For HTML text and quoted attributes."""
    return html.escape(printable(text, lines=lines), quote=True)


def in_figure(text: str) -> str:
    """For Plotly text, which knows a few tags and decodes entities."""
    return html.escape(printable(text), quote=False)


def writable(text: str, encoding: str) -> str:
    """Text that a stream of that encoding can write: signs spelt out, the rest as ``?``."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text
