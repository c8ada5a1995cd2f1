"""One HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import msgspec

from kvsteady.extras import import_extra
from kvsteady.report.layout import Figure
from kvsteady.report.palette import DARK, LIGHT, as_css
from kvsteady.report.plain import escaped

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script type="application/json" id="analysis">{analysis}</script>
<script type="application/json" id="figures">{figures}</script>
<script>{plotly}</script>
<script>{script}</script>
</body>
</html>
"""


def page(title: str, body: str, figures: Mapping[str, Figure], *, data: msgspec.Struct) -> str:
    """The page around a body whose ``.plot`` elements name ``figures``.

    ``data`` is what the page renders; it is embedded as JSON in
    ``<script type="application/json" id="analysis">``, so the page is also saved data.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    here = files("kvsteady.report")
    # Read first: without Plotly there is nothing to render.
    plotly: str = import_extra("plotly.offline", extra="report").get_plotlyjs()
    return _PAGE.format(
        title=escaped(title),
        style=_schemes() + (here / "page.css").read_text("utf-8"),
        body=body,
        analysis=_script_data(data),
        figures=_script_data(figures),
        plotly=plotly,
        script=(here / "page.js").read_text("utf-8"),
    )


def _schemes() -> str:
    dark = f":root:not([data-theme=light]) {{ {as_css(DARK)}}}"
    return (
        f":root {{ {as_css(LIGHT)}color-scheme: light dark; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"
    )


def _script_data(value: msgspec.Struct | Mapping[str, Figure]) -> str:
    """JSON that cannot end the script element it stands in."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")
