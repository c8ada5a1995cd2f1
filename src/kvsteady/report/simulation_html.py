"""A simulation as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence

from kvsteady.report.numbers import quantity, share
from kvsteady.report.page import page
from kvsteady.report.plain import escaped
from kvsteady.report.plots import plot_sections
from kvsteady.report.simulation import (
    MEASURES,
    PERCENTILES,
    TONES,
    engine_line,
    headlines,
    latency,
    time_lines,
)
from kvsteady.report.simulation_figures import simulation_plots
from kvsteady.simulate.results.simulation import Simulation

_NUMBER = ' class="number"'


def render_simulation_html(run: Simulation) -> str:
    """The report as one self-contained page, for any modern browser, offline.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    plots = simulation_plots(run)
    body = "\n".join(
        [
            _heading(run),
            _numbers(run),
            _advice(run),
            "<h2>What happens</h2>",
            *plot_sections(plots),
            _latencies(run),
            _objectives(run),
            _replicas(run),
            _notes(run),
            _footer(run),
        ]
    )
    figures = {
        f"{number}.{place}": spec
        for number, plot in enumerate(plots)
        for place, (_, spec) in enumerate(plot.panels)
    }
    return page(f"kvsteady: {run.outcome}: {run.name}", body, figures, data=run)


def _heading(run: Simulation) -> str:
    tone = TONES.get(run.outcome, ("watch", ""))[0]
    times = "; ".join(time_lines(run))
    return (
        '<p class="brand"><b>kvsteady</b> simulation</p>'
        f'<section class="verdict {tone}"><div class="label">{escaped(run.outcome)}</div>'
        f"<h1>{escaped(run.outcome_text)}</h1>"
        f"<p><b>{escaped(run.name)}.</b> {escaped(engine_line(run))}.</p>"
        f'<p class="muted">Load: {escaped(run.setup.load)}. Times: {escaped(times)}. Until '
        f"{escaped(run.setup.stop)}.</p></section>"
    )


def _numbers(run: Simulation) -> str:
    cards = "".join(
        f'<div><dt>{escaped(each.label)}</dt><dd class="value">{escaped(each.value)} '
        f'<span class="unit">{escaped(each.unit)}</span></dd>'
        f'<dd class="note">{escaped(each.note)}</dd></div>'
        for each in headlines(run)
    )
    return f'<h2>Key numbers</h2><dl class="cards">{cards}</dl>'


def _advice(run: Simulation) -> str:
    items = "".join(f"<li>{escaped(item)}</li>" for item in run.advice)
    return f'<h2>What follows</h2><ol class="advice">{items}</ol>' if items else ""


def _latencies(run: Simulation) -> str:
    head = ("ms", *PERCENTILES)
    rows = [
        (name, *[latency(run, measure, which) for which in PERCENTILES])
        for measure, name in MEASURES
    ]
    return (
        f'<h2>Latencies</h2><p class="muted">Percentiles: {escaped(run.percentiles)}.</p>'
        + _table(head, rows)
    )


def _objectives(run: Simulation) -> str:
    if not run.objectives:
        return ""
    rows = [(o.name, f"{quantity(o.limit_ms)} ms", share(o.met)) for o in run.objectives]
    met = (run.request_goodput or 0.0) / (run.request_throughput or 1.0)
    rows.append(("all of them", "", share(met)))
    return "<h2>Service-level objectives</h2>" + _table(("objective", "limit", "met"), rows)


def _replicas(run: Simulation) -> str:
    head = ("replica", "engine", "ended", "completed", "evictions", "KV usage", "busy")
    rows = [
        (
            each.name,
            each.engine,
            each.ended,
            f"{each.completed:,}",
            f"{each.num_preemptions_total:,}",
            share(each.kv_cache_usage_perc),
            share(each.busy),
        )
        for each in run.replicas
    ]
    return "<h2>Replicas</h2>" + _table(head, rows, text_columns=3)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, text_columns: int = 1) -> str:
    def row(tag: str, cells: tuple[str, ...]) -> str:
        return "".join(
            f"<{tag}{'' if place < text_columns else _NUMBER}>{escaped(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{row("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _notes(run: Simulation) -> str:
    items = "".join(f"<li>{escaped(note)}</li>" for note in run.notes)
    return f'<h2>Notes</h2><ul class="notes">{items}</ul>' if items else ""


def _footer(run: Simulation) -> str:
    return (
        f"<footer><p>kvsteady {escaped(run.kvsteady_version)}, schema {run.schema_version}. "
        f"Evictions under <b>{escaped(run.setup.eviction)}</b>. All times are simulated. "
        '<button id="save" type="button">Save the numbers as JSON</button></p>'
        "<noscript>The figures need JavaScript; the numbers above do not.</noscript></footer>"
    )
