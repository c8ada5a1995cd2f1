"""The league, shown: tables for the terminal, one self-contained page with Pareto plots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kvsteady.league.interval import interval
from kvsteady.league.table import League, Row, Verdict
from kvsteady.league.workloads import CONTESTS
from kvsteady.report.layout import Figure, axis, figure
from kvsteady.report.numbers import counted, quantity, share
from kvsteady.report.page import page
from kvsteady.report.plain import escaped, in_figure, printable, writable

_STYLES: Final = {"holds": "green", "noise": "yellow", "missed": "red", "unjudged": "cyan"}
STANDINGS: Final = {
    "holds": "holds",
    "noise": "within the noise",
    "missed": "missed",
    "unjudged": "not judged",
}
_BADGES: Final = {"holds": "good", "noise": "watch", "missed": "act", "unjudged": "calm"}
_COLOURS: Final = {"ours": "@cap", "baseline": "@greedy", "oracle": "@muted"}
_RIGHT: Final = ' class="number"'
_HEADS: Final = (
    "policy",
    "of x*",
    "tax",
    "tokens/s",
    "ITL, ms",
    "TTFT, s",
    "goodput",
)


def render_league(league: League, console: Console) -> None:
    """Print a table per workload and engine, and how ours stands."""

    def text(words: str, style: str = "") -> Text:
        return Text(writable(printable(words), console.encoding), style=style)

    for (workload, engine), rows in groups(league).items():
        table = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            title=text(f"{workload} on {engine}: {CONTESTS[workload].about}"),
            title_justify="left",
        )
        lines, shown = lined(rows)
        for number in shown:
            table.add_column(
                text(_HEADS[number]),
                justify="right" if number else "left",
                no_wrap=number > 0,
                overflow="fold",
            )
        for row, line in zip(rows, lines, strict=True):
            style = {"ours": "bold", "oracle": "dim"}.get(row.role, "")
            table.add_row(*(text(line[number], style) for number in shown))
        console.print(table)
        for verdict in _of(league, workload, engine):
            console.print(
                text(
                    f"{STANDINGS[verdict.standing]}: {sentence(verdict)}", _STYLES[verdict.standing]
                )
            )
        console.print()
    console.print(text(totals(league)))


def render_league_html(league: League) -> str:
    """One page: the verdicts, then each workload with its plots and its table.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    figures: dict[str, Figure] = {}
    sections = []
    for (workload, engine), rows in groups(league).items():
        places = []
        for title, field, unit in _PLOTS:
            drawn = _pareto(rows, field, unit)
            if drawn is not None:
                name = f"{workload}.{engine}.{field}"
                figures[name] = drawn
                places.append(
                    f'<div><h4>{escaped(title)}</h4><div class="plot" data-figure="{name}">'
                    "</div></div>"
                )
        sections.append(_section(league, workload, engine, rows, places))
    body = "\n".join(
        [
            '<p class="brand"><b>kvsteady</b> league of admission policies</p>',
            "<h1>Policies, workloads, engines</h1>",
            f'<p class="muted">{escaped(totals(league))} Baselines have their best constants per '
            "workload, chosen from a grid on a seed that is not measured; small points are the "
            "grids there. steady has no constants. look-ahead sees true output lengths: a bound, "
            f"not a policy. Iteration times: {escaped(league.time)}. ± is a 95% confidence "
            "interval over seeds.</p>",
            *sections,
            f"<footer><p>kvsteady {escaped(league.kvsteady_version)}. "
            '<button id="save" type="button">Save the numbers as JSON</button></p></footer>',
        ]
    )
    return page("kvsteady: league of admission policies", body, figures, data=league)


def groups(league: League) -> dict[tuple[str, str], list[Row]]:
    """Rows by workload and engine, ours first, then by tokens per second; oracles last."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in league.rows:
        found.setdefault((row.workload, row.engine), []).append(row)
    order = {"ours": 0, "baseline": 1, "oracle": 2}
    for rows in found.values():
        rows.sort(key=lambda row: (order.get(row.role, 1), -row.mean("tokens_per_second")))
    return found


def lined(rows: list[Row]) -> tuple[list[tuple[str, ...]], list[int]]:
    """The cells of rows, and which columns anybody has a number for: others are left out."""
    lines = [cells(row) for row in rows]
    return lines, [number for number in range(len(_HEADS)) if any(line[number] for line in lines)]


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table as text, in the order of its heads."""
    name = f"{row.entrant} (oracle)" if row.role == "oracle" else row.entrant
    ended = {result.outcome for result in row.results} - {"ran"}
    if ended:
        name += f", {' and '.join(sorted(ended))}"
    name += "".join(f" {key}={value:g}" for key, value in row.constants)
    return (
        name,
        _spread(row, "of_x", 3),
        share(row.mean("recompute_tax")),
        _spread(row, "tokens_per_second", 0),
        _spread(row, "itl_p99_ms", 0),
        _spread(row, "ttft_p99_s", 2),
        _spread(row, "goodput", 1),
    )


def sentence(verdict: Verdict) -> str:
    """A verdict in words, without its standing."""
    half = f" ± {quantity(verdict.half, 2)}" if verdict.half else ""
    sign = {">=": "at least", "<=": "at most"}[verdict.sense]
    bar = f"{sign} {quantity(verdict.bar, 3)}"
    if verdict.bound is not None and verdict.standing != "holds":
        bar += f"; proved: nobody has more than {quantity(verdict.bound, 4)} without evictions"
    if verdict.reason:
        bar += f"; {verdict.reason}"
    measured = "" if verdict.measured is None else f" {quantity(verdict.measured, 4)}{half}"
    return f"{verdict.what}{measured} ({bar})"


def totals(league: League) -> str:
    """How many bars hold."""
    counts = [sum(v.standing == word for v in league.verdicts) for word in _STYLES]
    missing = f" Not played: {league.missing:,} of the matches." if league.missing else ""
    unjudged = f", {counts[3]} not judged" if counts[3] else ""
    return (
        f"{counted(len(league.verdicts), 'bar')} for steady: {counts[0]} hold, {counts[1]} within "
        f"the noise, {counts[2]} missed{unjudged}. {counted(league.seeds, 'seed')}.{missing}"
    )


_PLOTS: Final = (
    ("Completions per iteration over x*", "of_x", "completions / x*"),
    ("Output tokens per second", "tokens_per_second", "tokens/s"),
    ("p99 time between tokens", "itl_p99_ms", "ms"),
    ("p99 time to first token", "ttft_p99_s", "s"),
    ("Goodput", "goodput", "requests/s"),
)


def _pareto(rows: list[Row], field: str, unit: str) -> Figure | None:
    """A quantity against the recompute tax: the best constants large, the rest of grids small."""
    best = [(row, 100 * row.mean("recompute_tax"), row.mean(field)) for row in rows]
    best = [each for each in best if not math.isnan(each[2])]
    if not best:
        return None
    traces = [trace for row in rows for trace in _rest(row, field)]
    named: list[tuple[float, float]] = []
    wide = max(x for _, x, _ in best) - min(x for _, x, _ in best)
    high = max(y for _, _, y in best) - min(y for _, _, y in best)
    for row, x, y in best:
        # Names that would lie on others are left to the mouse; ours comes first.
        free = all(abs(x - a) > 0.2 * wide or abs(y - b) > 0.07 * high for a, b in named)
        if free:
            named.append((x, y))
        side = "left" if x - min(x for _, x, _ in best) > wide / 2 else "right"
        traces.append(_point(row, x, y, side if free else ""))
    return figure(traces, height=320, xaxis=axis("recompute tax, %"), yaxis=axis(in_figure(unit)))


_COMMON: Final = {
    "type": "scatter",
    "hovertemplate": "%{text}<br>%{y:.4g} at %{x:.3g}%<extra></extra>",
}


def _rest(row: Row, field: str) -> Iterator[dict[str, Any]]:
    grid = [(result.recompute_tax, getattr(result, field)) for _, result in row.tried]
    grid = [(tax, value) for tax, value in grid if value is not None]
    if len(grid) > 1:
        yield _COMMON | {
            "mode": "markers",
            "x": [100 * tax for tax, _ in grid],
            "y": [value for _, value in grid],
            "text": [in_figure(row.entrant)] * len(grid),
            "marker": {"color": _COLOURS.get(row.role, "@greedy"), "size": 5, "opacity": 0.4},
        }


def _point(row: Row, x: float, y: float, side: str) -> dict[str, Any]:
    return _COMMON | {
        "mode": "markers+text" if side else "markers",
        "x": [x],
        "y": [y],
        "text": [in_figure(row.entrant)],
        "textposition": f"middle {side or 'right'}",
        "textfont": {"size": 11, "color": "@ink"},
        "cliponaxis": False,
        "marker": {
            "color": _COLOURS.get(row.role, "@greedy"),
            "size": 12 if row.role == "ours" else 9,
            "symbol": {"ours": "diamond", "oracle": "x"}.get(row.role, "circle"),
        },
    }


def _section(league: League, workload: str, engine: str, rows: list[Row], places: list[str]) -> str:
    lines, shown = lined(rows)

    def line(tag: str, values: tuple[str, ...]) -> str:
        cells = "".join(
            f"<{tag}{_RIGHT if number else ''}>{escaped(values[number])}</{tag}>"
            for number in shown
        )
        return f"<tr>{cells}</tr>"

    heads = line("th", _HEADS)
    body = "".join(line("td", values) for values in lines)
    verdicts = "".join(
        f'<li><span class="badge {_BADGES[v.standing]}">{escaped(STANDINGS[v.standing])}</span> '
        f"{escaped(sentence(v))}</li>"
        for v in _of(league, workload, engine)
    )
    return (
        f'<section id="{escaped(workload)}-{escaped(engine)}"><h2>{escaped(workload)} on '
        f'{escaped(engine)}</h2><p class="muted">{escaped(CONTESTS[workload].about)}</p>'
        f'<figure><div class="panels">{"".join(places)}</div></figure><ul>{verdicts}</ul>'
        f'<div class="scroll"><table><thead>{heads}</thead><tbody>{body}</tbody></table>'
        "</div></section>"
    )


def _of(league: League, workload: str, engine: str) -> list[Verdict]:
    return [v for v in league.verdicts if (v.workload, v.engine) == (workload, engine)]


def _spread(row: Row, field: str, places: int) -> str:
    mean, half = interval(row.values(field))
    if math.isnan(mean):
        return ""
    plus = f"±{half:,.{places}f}" if half >= 0.5 * 10**-places else ""
    return f"{mean:,.{places}f}{plus}"
