"""What figures need to be live without a network: Plotly once per site, and colours by scheme."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sphinx.application import Sphinx

from kvsteady.report.palette import DARK, LIGHT


def add_scripts(
    app: Sphinx, _page: str, _template: str, context: dict[str, object], _tree: object
) -> None:
    """Load Plotly on the pages that have a figure."""
    if 'class="kv-plot"' in str(context.get("body", "")):
        app.add_js_file("plotly.min.js", loading_method="defer")
        app.add_js_file("figures.js", loading_method="defer")


def copy_files(app: Sphinx, error: Exception | None) -> None:
    """Put Plotly and the colours beside the other static files."""
    static = Path(app.outdir) / "_static"
    if error or not static.is_dir():
        return
    script = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    (static / "plotly.min.js").write_bytes(script)
    light, dark = (
        "".join(f"--kv-{role}: {colour}; " for role, colour in palette.items())
        for palette in (LIGHT, DARK)
    )
    (static / "figures.css").write_text(
        f"body {{ {light}}}\n"
        f'body[data-theme="dark"] {{ {dark}}}\n'
        "@media (prefers-color-scheme: dark) {\n"
        f'  body:not([data-theme="light"]) {{ {dark}}}\n}}\n'
        "utf-8",
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_css_file("figures.css")
    app.add_css_file("site.css")
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
