"""A fit beside its recording: for the terminal, and as a page with curves."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kvsteady.report.layout import Figure, axis, figure, line
from kvsteady.report.numbers import quantity
from kvsteady.report.page import page
from kvsteady.report.plain import escaped, printable, writable
from kvsteady.report.plots import Plot, plot_sections
from kvsteady.simulate.fit.report import Compared, FitReport

HEAD = ("", "recorded", "simulated", "error")
NAMES = ("p50", "p90", "p99")
_NUMBER = ' class="number"'


def rows(fit: FitReport) -> list[tuple[str, str, str, str]]:
    """Everything that is compared: what, recorded, simulated, relative error."""
    found = [
        (each.name, quantity(each.recorded), quantity(each.simulated), f"{each.error:+.1%}")
        for each in fit.rates
    ]
    for each in fit.latencies:
        numbers = zip(
            ("p50", "p90", "p99"), each.recorded, each.simulated, each.errors, strict=True
        )
        found += [
            (f"{each.name} {name}, ms", quantity(was), quantity(made), f"{error:+.1%}")
            for name, was, made, error in numbers
        ]
        found.append((f"{each.name}, median of the requests' errors", "", "", _share(each)))
    percentiles = zip(NAMES, fit.simulated_itl_ms, strict=True)
    found += [
        (f"ITL {name}, ms", "not recorded", quantity(value), "") for name, value in percentiles
    ]
    held = f"{fit.max_kv_tokens_held:,} of {fit.kv_tokens:,}"
    found.append(("KV tokens held, most", "not recorded", held, ""))
    apart = f"{fit.mean_running_distance:.2g} requests"
    was, made = max(fit.running_recorded.y, default=0), max(fit.running_simulated.y, default=0)
    found.append(("Requests running, most, and mean distance", f"{was:g}", f"{made:g}", apart))
    return found


def _share(each: Compared) -> str:
    return f"{each.median_error:.1%}"


def summary(fit: FitReport) -> str:
    """What was fitted to what, in a sentence."""
    if fit.until is None:
        return f"Fitted to all {fit.requests} requests, and compared with them."
    return (
        f"Fitted to the {fit.trained} requests that finished by {quantity(fit.until)} s; compared "
        f"with the {fit.judged} that were scheduled later."
    )


def render_fit(fit: FitReport, console: Console) -> None:
    """Print what was fitted, and the recording beside the simulation."""

    def text(words: str, style: str = "") -> Text:
        return Text(writable(printable(words), console.encoding), style=style)

    console.print(text(f"{fit.model}, {fit.engine}, {fit.tensor_parallel} × {fit.gpu}", "bold"))
    console.print(text(summary(fit)))
    terms = ", ".join(f"{name} {value:.4g} s" for name, value in fit.time.items())
    console.print(text(f"An iteration takes: {terms}.", "dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(HEAD):
        table.add_column(name, justify="right" if place else "left")
    for row in rows(fit):
        table.add_row(*map(text, row))
    console.print(table)
    for note in fit.notes:
        console.print(text(f" Note: {note}", "dim"))


def render_fit_html(fit: FitReport) -> str:
    """One self-contained page, for any modern browser, offline.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    plots = fit_plots(fit)
    cells = "".join(
        "<tr>"
        + "".join(
            f"<td{_NUMBER if place else ''}>{escaped(cell)}</td>" for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows(fit)
    )
    head = "".join(f"<th>{escaped(name)}</th>" for name in HEAD)
    notes = "".join(f"<li>{escaped(note)}</li>" for note in fit.notes)
    body = "\n".join(
        [
            '<p class="brand"><b>kvsteady</b> fit</p>',
            f'<section class="verdict good"><h1>{escaped(fit.model)}</h1>'
            f"<p>{escaped(f'{fit.engine}, {fit.tensor_parallel} × {fit.gpu}')}. "
            f"{escaped(summary(fit))}</p></section>",
            "<h2>Recorded and simulated</h2>"
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody>'
            "</table></div>",
            *plot_sections(plots),
            f'<h2>Notes</h2><ul class="notes">{notes}</ul>',
            f"<footer><p>kvsteady {escaped(fit.kvsteady_version)}. "
            '<button id="save" type="button">Save the numbers as JSON</button></p></footer>',
        ]
    )
    figures = {
        f"{number}.{place}": spec
        for number, plot in enumerate(plots)
        for place, (_, spec) in enumerate(plot.panels)
    }
    return page(f"kvsteady: fit: {fit.model}", body, figures, data=fit)


def fit_plots(fit: FitReport) -> tuple[Plot, ...]:
    """The curves of the page, in order."""
    return (
        Plot(
            "Over time",
            "Running requests, recorded at each tick and simulated, and the KV tokens that the "
            "simulation holds meanwhile.",
            (("Requests running", _running(fit)), ("KV tokens held", _held(fit))),
        ),
        Plot(
            "How long it takes",
            "Share of the compared requests that took at most so long.",
            tuple((each.name, _quantiles(each)) for each in fit.latencies),
        ),
    )


def _running(fit: FitReport) -> Figure:
    was, made = fit.running_recorded, fit.running_simulated
    return _pair(
        line(was.x, was.y, "@muted", name="recorded"),
        line(made.x, made.y, "@cap", name="simulated"),
        xaxis=axis("seconds", rangemode="tozero"),
        yaxis=axis("requests", rangemode="tozero"),
    )


def _held(fit: FitReport) -> Figure:
    return _pair(
        line(fit.kv_tokens_held.x, fit.kv_tokens_held.y, "@cap", name="simulated"),
        xaxis=axis("seconds", rangemode="tozero"),
        yaxis=axis("tokens", rangemode="tozero"),
    )


def _quantiles(each: Compared) -> Figure:
    was, made = each.recorded_curve, each.simulated_curve
    return _pair(
        line(was.x, was.y, "@muted", name="recorded"),
        line(made.x, made.y, "@cap", name="simulated"),
        xaxis=axis("ms", rangemode="tozero"),
        yaxis=axis("share", range=[0, 1.03], tickformat=".0%"),
    )


def _pair(*traces: Figure, xaxis: Figure, yaxis: Figure) -> Figure:
    return figure(traces, height=300, showlegend=True, xaxis=xaxis, yaxis=yaxis)
