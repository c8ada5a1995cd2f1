"""A tuning as one self-contained page, with every candidate in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kvsteady.advise.tuning.paste import pasted
from kvsteady.advise.tuning.record import Measured, Tuning
from kvsteady.report.layout import Figure, axis, figure, level
from kvsteady.report.page import page
from kvsteady.report.plain import escaped, in_figure
from kvsteady.report.tuning import (
    ACTS,
    COMPARED,
    EFFECTS,
    TONES,
    compared_cells,
    compared_title,
    effect_cells,
    effects_title,
    subject,
)

_COLOURS: Final = {"flags": "@greedy", "policy": "@cap"}
_RIGHT: Final = ' class="number"'
_HOVER: Final = "%{text}<br>%{y:.3g}% at %{x:.3g}%<extra></extra>"


def render_tuning_html(found: Tuning) -> str:
    """One page: outcome, advice, the plot, the tables, the data.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    figures: dict[str, Figure] = {}
    drawn = tuning_plot(found)
    body = [_heading(found), _advice(found)]
    if drawn is not None:
        figures["gain"] = drawn
        body.append(
            "<h2>Gain against recompute tax</h2><figure><figcaption>Orange: flags of the engine; "
            "blue: policies. Large points are the best of each family with the 95% interval of "
            "their gain, small ones all values on the seed that they were chosen on; the ring is "
            "the engine as it is. Up is better.</figcaption>"
            '<div class="plot" data-figure="gain"></div></figure>'
        )
    if found.compared:
        body.append(
            f"<h2>{escaped(compared_title(found))}</h2>" + _table(COMPARED, compared_cells(found))
        )
    if found.front_runner is not None:
        body.append(
            f"<h2>{escaped(effects_title(found, found.front_runner))}</h2>"
            + _table(EFFECTS, effect_cells(found.front_runner))
        )
    body += [_notes(found), _footer(found)]
    title = f"kvsteady tune: {found.outcome}: {found.workload.name}"
    return page(title, "\n".join(body), figures, data=found)


def tuning_plot(found: Tuning) -> Figure | None:
    """Gain with its interval against the recompute tax; None where nothing could be compared."""
    measured = [each for each in found.compared if each.gain is not None]
    if not measured:
        return None
    traces = [_small(found, how) for how in _COLOURS]
    traces += [_large(each, found) for each in measured]
    tax = measured[0].effect("recompute_tax")
    if tax is not None:
        traces.append(
            _points([100 * tax.before], [0.0], ["as it is"], "@muted")
            | {
                "mode": "markers+text",
                "textposition": "top center",
                "textfont": {"size": 11, "color": "@muted"},
                "marker": {"color": "@muted", "size": 11, "symbol": "circle-open"},
            }
        )
    return figure(
        [trace for trace in traces if trace["x"]],
        height=420,
        xaxis=axis("recompute tax, % of prefilled tokens"),
        yaxis=axis(in_figure(f"gain in {found.objective.title}, %")),
        shapes=[level(0.0, "@muted", "dot")],
    )


def _points(x: list[float], y: list[float], text: list[str], colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "text": text,
        "hovertemplate": _HOVER,
        "marker": {"color": colour, "size": 5, "opacity": 0.45},
    }


def _small(found: Tuning, how: str) -> dict[str, Any]:
    rows = [each for each in found.tried if each.how == how and each.gain is not None]
    return _points(
        [100 * each.recompute_tax for each in rows],
        [100 * each.gain for each in rows if each.gain is not None],
        [in_figure(each.setting) for each in rows],
        _COLOURS[how],
    )


def _large(each: Measured, found: Tuning) -> dict[str, Any]:
    gain, tax = each.gain, each.effect("recompute_tax")
    assert gain is not None
    front = found.front_runner is not None and found.front_runner.family == each.family
    x = 100 * (0.0 if tax is None else tax.after)
    colour = _COLOURS[each.how]
    return _points([x], [100 * gain.mean], [in_figure(each.setting)], colour) | {
        "mode": "markers+text",
        "textposition": "middle right",
        "textfont": {"size": 11, "color": "@ink"},
        "cliponaxis": False,
        "marker": {
            "color": colour,
            "size": 12 if front else 9,
            "symbol": "diamond" if front else "circle",
        },
        "error_y": {
            "type": "data",
            "array": [100 * (gain.high - gain.mean)],
            "color": colour,
            "thickness": 1.5,
        },
    }


def _heading(found: Tuning) -> str:
    tone = TONES.get(found.outcome, ("watch", ""))[0]
    what, *rest = subject(found)
    lines = "".join(f'<p class="muted">{escaped(line)}.</p>' for line in rest)
    return (
        '<p class="brand"><b>kvsteady</b> tune</p>'
        f'<section class="verdict {tone}"><div class="label">{escaped(found.outcome)}</div>'
        f"<h1>{escaped(found.outcome_text)}</h1><p><b>{escaped(what)}.</b></p>{lines}</section>"
    )


def _advice(found: Tuning) -> str:
    items = "".join(
        f"<li><b>{escaped(item.title)}.</b> {escaped(item.text)}</li>" for item in found.advice
    )
    runner = found.front_runner
    paste = ""
    if runner is not None and found.outcome in ACTS:
        paste = f"<pre>{escaped(pasted(found.engine, runner))}</pre>"
    return f'<h2>Advice</h2><ol class="advice">{items}</ol>{paste}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    shown = [place for place in range(len(head)) if any(row[place] for row in rows)]

    def row(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{_RIGHT if place else ''}>{escaped(cells[place])}</{tag}>" for place in shown
        )

    body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{row("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _notes(found: Tuning) -> str:
    items = "".join(f"<li>{escaped(note)}</li>" for note in (*found.notes, *found.workload.notes))
    return f'<h2>Notes</h2><ul class="notes">{items}</ul>' if items else ""


def _footer(found: Tuning) -> str:
    return (
        f"<footer><p>kvsteady {escaped(found.kvsteady_version)}, schema {found.schema_version}. "
        f"Evictions under <b>{escaped(found.eviction)}</b>. All times are simulated. "
        '<button id="save" type="button">Save the numbers as JSON</button></p>'
        "<noscript>The figure needs JavaScript; the numbers above do not.</noscript></footer>"
    )
