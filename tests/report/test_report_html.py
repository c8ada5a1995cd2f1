from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import pytest
from report_samples import HOSTILE

from kvsteady.advise import Analysis, load_analysis
from kvsteady.errors import MissingExtraError
from kvsteady.report import render_html, report_plots

pytest.importorskip("plotly")

_LOADS = ("src", "href", "srcset", "data", "action", "formaction", "poster", "xlink:href")


class Reader(HTMLParser):
    """What a page holds: tags, what they load, scripts and styles, text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.raw: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._open: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in _LOADS]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self._open = {**dict(attrs), "tag": tag} if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        if self._open is None:
            self.text += data
        else:
            self.raw.append((self._open, data))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._open = None


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def script(reader: Reader, name: str) -> str:
    return "".join(data for attributes, data in reader.raw if attributes.get("id") == name)


def test_nothing_is_loaded_from_elsewhere(analysis: Analysis) -> None:
    reader = read(render_html(analysis))
    assert reader.loads == ["data:,"]  # an empty icon, or browsers ask for favicon.ico
    assert not {"link"} - set(reader.tags)
    assert not {"img", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    styles = "".join(data for attributes, data in reader.raw if attributes["tag"] == "style")
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_check_for_loads_would_see_them() -> None:
    page = '<script src="https://x/y.js"></script><img src=//x/y><link href="http://x/y.css">'
    assert read(page).loads == ["https://x/y.js", "//x/y", "http://x/y.css"]


def test_plotly_is_inlined_once_and_every_panel_has_a_place(analysis: Analysis) -> None:
    html = render_html(analysis)
    panels = sum(len(plot.panels) for plot in report_plots(analysis))
    assert html.count('class="plot"') == panels
    assert html.count("plotly.js v") == 1
    assert len(html) < 6_000_000


def test_the_page_is_saved_data(analysis: Analysis) -> None:
    data = script(read(render_html(analysis)), "analysis")
    assert load_analysis(data.encode()) == analysis


def test_numbers_advice_settings_and_sources_are_there(analysis: Analysis) -> None:
    text = " ".join(read(render_html(analysis)).text.split())
    assert analysis.verdict_text in text
    assert analysis.resume.source in text
    for item in analysis.advice:
        assert f"{item.title}. {item.text}" in text
    for engine in analysis.settings:
        for setting in engine.settings:
            assert " ".join(setting.paste.split()) in text
            assert setting.effect in text
            assert f"Source: {setting.source}" in text


def test_what_to_paste_keeps_its_lines(analyses: dict[str, Analysis]) -> None:
    html = render_html(analyses["one class"])
    assert "<pre>scheduler_config:\n  capacity_scheduler_policy:" in html


def test_hostile_texts_stay_text(hostile: Analysis) -> None:
    html = render_html(hostile)
    reader = read(html)
    assert not reader.handlers
    assert "img" not in reader.tags
    assert reader.tags.count("script") == html.count("</script>") == 4
    assert load_analysis(script(reader, "analysis").encode()) == hostile
    assert HOSTILE.partition("\n")[0] in reader.text
    assert "\x1b" not in html
    figures = script(reader, "figures")
    assert set(re.findall(r"\\u003c(\w*)", figures)) <= {"br", "extra", ""}
    assert "\\u003cimg" not in figures


def test_unencodable_names_are_shown_as_escapes(hostile: Analysis) -> None:
    assert "\u202e" not in read(render_html(hostile)).text


def test_without_plotly_the_extra_is_named(
    analyses: dict[str, Analysis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"kvsteady\[report\]"):
        render_html(analyses["tiers"])
