"""Colours by role, for light and dark; vermilion and blue stay apart for colour-blind readers.

A figure names a colour ``@role``; the page fills it in for the scheme the reader prefers, and
`painted` does so for figures used from Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#ffffff",
        "card": "#f6f7f9",
        "ink": "#1b1f24",
        "muted": "#5b6470",
        "line": "#dde1e6",
        "grid": "#e8ebef",
        "greedy": "#c8500a",
        "greedy-soft": "rgba(200, 80, 10, 0.10)",
        "cap": "#0b6bb0",
        "cap-soft": "rgba(11, 107, 176, 0.14)",
        "balance": "#0a8464",
        "good": "#0a7a5c",
        "calm": "#0b6bb0",
        "watch": "#946200",
        "act": "#b3360b",
    }
)
DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#14171b",
        "card": "#1d2127",
        "ink": "#e8eaed",
        "muted": "#a3acb8",
        "line": "#363d47",
        "grid": "#2a3038",
        "greedy": "#ff9457",
        "greedy-soft": "rgba(255, 148, 87, 0.13)",
        "cap": "#5cb8ff",
        "cap-soft": "rgba(92, 184, 255, 0.18)",
        "balance": "#3ddbae",
        "good": "#3ddbae",
        "calm": "#5cb8ff",
        "watch": "#f0b84a",
        "act": "#ff8a5c",
    }
)


def painted(spec: Any, palette: Mapping[str, str] = LIGHT) -> Any:
    """The same figure with every ``@role`` replaced, ready for ``plotly.graph_objects.Figure``."""
    if isinstance(spec, dict):
        return {
            key: palette[value[1:]]
            if key.endswith("color") and isinstance(value, str) and value.startswith("@")
            else painted(value, palette)
            for key, value in spec.items()
        }
    return [painted(item, palette) for item in spec] if isinstance(spec, list) else spec


def as_css(palette: Mapping[str, str]) -> str:
    """Custom properties of a style sheet."""
    return "".join(f"--{role}: {colour}; " for role, colour in palette.items())
