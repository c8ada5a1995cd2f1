"""A reproduction, shown: a table for the terminal, one self-contained page with every figure."""

from __future__ import annotations

import math
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kvsteady.report.layout import Figure, axis, figure, line
from kvsteady.report.numbers import counted, quantity
from kvsteady.report.page import page
from kvsteady.report.plain import escaped, in_figure, printable, writable
from kvsteady.reproduce.finding import Chart, Check, Finding, Outcome, Reproduction, Series

_TONES: Final = {
    Outcome.REPRODUCED: ("good", "green"),
    Outcome.WITH_CONDITIONS: ("watch", "yellow"),
    Outcome.NOT_REPRODUCED: ("act", "red"),
    Outcome.NOT_TESTABLE: ("calm", "cyan"),
}


def render_reproduction(found: Reproduction, console: Console) -> None:
    """Print a row per claim, and the checks that failed."""

    def text(words: str, style: str = "") -> Text:
        return Text(writable(printable(words), console.encoding), style=style)

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("claim", "source", "checks", "verdict"):
        table.add_column(head, justify="right" if head == "checks" else "left")
    for finding in found.findings:
        holding = sum(check.holds for check in finding.checks)
        checks = f"{holding}/{len(finding.checks)}" if finding.checks else ""
        style = _TONES[finding.outcome][1]
        table.add_row(
            text(finding.title),
            text(finding.source, "dim"),
            checks,
            text(finding.outcome.value, style),
        )
    console.print(table)
    for finding in found.findings:
        for check in finding.checks:
            if not check.holds:
                console.print(text(f"{finding.key}: {_sentence(check)}", "red"))
    console.print(text(_totals(found)))


def render_reproduction_html(found: Reproduction) -> str:
    """One page: a table of claims, then each with its numbers and figures.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    figures: dict[str, Figure] = {}
    sections = []
    for finding in found.findings:
        places = []
        for number, chart in enumerate(finding.charts):
            name = f"{finding.key}.{number}"
            figures[name] = chart_figure(chart)
            places.append(
                f'<div><h4>{escaped(chart.title)}</h4><div class="plot" data-figure="{name}">'
                "</div></div>"
            )
        sections.append(_section(finding, places))
    body = "\n".join(
        [
            '<p class="brand"><b>kvsteady</b> reproduction of arXiv:2606.15555</p>',
            "<h1>What the paper says, and what was measured</h1>",
            f'<p class="muted">{escaped(_totals(found))} Losses are under <b>restart</b> '
            "(an evicted request loses its progress) unless they name another. The full text of "
            "the paper was not at hand: what it says is taken from kvsteady’s specification of the "
            "theory, which names its theorems. What is ours says so.</p>",
            _overview(found),
            *sections,
            f"<footer><p>kvsteady {escaped(found.kvsteady_version)}. "
            '<button id="save" type="button">Save the numbers as JSON</button></p></footer>',
        ]
    )
    return page("kvsteady: reproduction of arXiv:2606.15555", body, figures, data=found)


def chart_figure(chart: Chart) -> Figure:
    """A chart as Plotly reads it, colours named by role."""
    across = [value for series in chart.series for value in series.x]
    up = [value for series in chart.series for value in series.y]
    return figure(
        [_trace(series) for series in chart.series],
        height=360,
        showlegend=len(chart.series) > 1,
        hovermode="closest",
        xaxis=axis(in_figure(chart.x_title), **_scale(across, log=chart.x_log)),
        yaxis=axis(in_figure(chart.y_title), **_scale(up, log=chart.y_log)),
    )


def _scale(values: list[float], *, log: bool) -> dict[str, Any]:
    """Type of an axis; a logarithmic one of less than three decades is labelled at 1, 2 and 5."""
    if not log:
        return {"exponentformat": "none"}
    scale: dict[str, Any] = {"type": "log", "exponentformat": "power"}
    shown = [value for value in values if value > 0]
    if not shown or max(shown) >= 1000 * min(shown):
        return scale | {"dtick": 1}
    decades = range(math.floor(math.log10(min(shown))), math.ceil(math.log10(max(shown))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    return scale | {"tickvals": ticks, "ticktext": [f"{tick:,.6g}" for tick in ticks]}


def _trace(series: Series) -> dict[str, Any]:
    color = f"@{series.role}"
    style: dict[str, Any] = {"color": color, "width": 2}
    if series.style == "dashes":
        style["dash"] = "dash"
    elif series.style == "steps":
        style["shape"] = "hv"
    trace = line(series.x, series.y, color, name=in_figure(series.name)) | {"line": style}
    if series.style == "points":
        trace |= {"mode": "markers", "marker": {"color": color, "size": 7}}
    return trace


def _overview(found: Reproduction) -> str:
    rows = "".join(
        f'<tr><td><a href="#{escaped(finding.key)}">{escaped(finding.title)}</a></td>'
        f"<td>{escaped(finding.source)}</td><td>{_badge(finding.outcome)}</td></tr>"
        for finding in found.findings
    )
    return (
        '<div class="scroll"><table class="claims"><thead><tr><th>Claim</th><th>Source</th>'
        f"<th>Verdict</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _section(finding: Finding, places: list[str]) -> str:
    rows = "".join(
        f'<tr><td>{escaped(check.what)}</td><td class="number">{_number(check.expected)}</td>'
        f'<td class="number">{_number(check.measured)}</td>'
        f'<td class="number">{escaped(_range(check))}</td>'
        f"<td>{_standing(check)}</td></tr>"
        for check in finding.checks
    )
    table = (
        '<div class="scroll"><table class="checks"><thead><tr><th>Number</th>'
        '<th class="number">claimed</th><th class="number">measured</th>'
        '<th class="number">holds within</th><th></th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    kind = ' class="panels"' if len(places) > 1 else ""
    plots = f"<figure><div{kind}>{''.join(places)}</div></figure>" if places else ""
    command = f"<pre>{escaped(finding.command)}</pre>" if finding.command else ""
    return (
        f'<section id="{escaped(finding.key)}"><h2>{escaped(finding.title)} '
        f"{_badge(finding.outcome)}</h2>"
        f'<p><span class="muted">{escaped(finding.source)}:</span> {escaped(finding.says)}</p>'
        f"<p><b>{escaped(finding.found)}</b></p>{plots}{table}{command}</section>"
    )


def _badge(outcome: Outcome) -> str:
    return f'<span class="badge {_TONES[outcome][0]}">{escaped(outcome.value)}</span>'


def _number(value: float | None) -> str:
    return "" if value is None else escaped(quantity(value, 6))


def _standing(check: Check) -> str:
    if check.low is None and check.high is None:
        return ""
    return "holds" if check.holds else "<b>fails</b>"


def _range(check: Check) -> str:
    if check.low is not None and check.high is not None:
        if check.low == check.high:
            return "exactly"
        low, high = quantity(check.low, 6), quantity(check.high, 6)
        slack = (check.high - check.low) / 2
        return f"{low} to {high}" if low != high else f"± {slack:.1g}"
    if check.low is not None:
        return f"≥ {quantity(check.low, 6)}"
    return f"≤ {quantity(check.high, 6)}" if check.high is not None else ""


def _sentence(check: Check) -> str:
    return f"{check.what}: {quantity(check.measured, 6)}, not {_range(check)}"


def _totals(found: Reproduction) -> str:
    parts = [f"{found.count(outcome)} {outcome.value}" for outcome in Outcome]
    return f"{counted(len(found.findings), 'claim')}: {', '.join(parts)}."
