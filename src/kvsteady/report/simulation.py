"""A simulation for the terminal: readable without colour, and in ASCII."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kvsteady.report.numbers import quantity, share
from kvsteady.report.plain import printable, writable
from kvsteady.simulate.results.simulation import Simulation

# Tone of each outcome, as in the reports, and its colour.
TONES: Final = {
    "completed": ("good", "green"),
    "steady": ("good", "green"),
    "evicting": ("watch", "yellow"),
    "overloaded": ("act", "red"),
    "rejected": ("act", "red"),
    "stalled": ("act", "red"),
    "livelocked": ("act", "red"),
}
MEASURES: Final = (("ttft", "TTFT"), ("tpot", "TPOT"), ("itl", "ITL"), ("e2el", "E2E"))
PERCENTILES: Final = ("mean", "median", "p90", "p99")


@dataclass(frozen=True)
class Headline:
    """A number with its name, its unit and what it means."""

    label: str
    value: str
    unit: str
    note: str


def headlines(run: Simulation) -> list[Headline]:
    """The numbers that matter most."""
    found = [
        Headline(
            "Throughput",
            quantity(run.request_throughput),
            "requests/s",
            f"{run.completed:,} completed in {quantity(run.duration)} s, "
            f"{run.iterations:,} iterations",
        ),
        Headline(
            "Tokens",
            quantity(run.output_throughput),
            "output tokens/s",
            f"{quantity(run.total_token_throughput)} with input",
        ),
    ]
    if run.request_goodput is not None:
        limits = ", ".join(f"{o.name} {quantity(o.limit_ms)} ms" for o in run.objectives)
        met = run.request_goodput / run.request_throughput if run.request_throughput else 0.0
        found.append(
            Headline(
                "Goodput",
                quantity(run.request_goodput),
                "requests/s",
                f"{share(met)} of requests meet {limits}",
            )
        )
    per_request = run.preemptions_per_request
    one = " in one replica" if len(run.replicas) > 1 else ""
    found += [
        Headline(
            "Evictions",
            f"{run.num_preemptions_total:,}",
            "",
            "no request completed"
            if per_request is None
            else f"{quantity(per_request, 3)} per completed request, {run.setup.eviction}",
        ),
        Headline(
            "Recompute tax",
            share(run.recompute_tax),
            "of prefilled tokens",
            f"{run.recomputed_tokens:,} of {run.prefilled_tokens:,} were recomputed"
            + (f"; {run.wasted_tokens:,} output tokens lost" if run.wasted_tokens else ""),
        ),
        Headline(
            "KV usage",
            share(run.kv_cache_usage_perc),
            "mean",
            f"at most {share(run.max_kv_cache_usage_perc)}"
            + (
                f"; prefix cache hits {share(run.prefix_cache_hit_rate)}"
                if run.prefix_cache_hits
                else ""
            ),
        ),
        Headline(
            "Requests",
            quantity(run.num_requests_running, 3),
            "running",
            f"at most {run.max_num_requests_running:,}{one}; "
            f"waiting {quantity(run.num_requests_waiting, 3)}, "
            f"at most {run.max_num_requests_waiting:,}{one}",
        ),
    ]
    return found


def latency(run: Simulation, measure: str, which: str) -> str:
    """A latency in milliseconds, as text."""
    value = getattr(run, f"{which}_{measure}_ms")
    return "" if value is None else quantity(value)


def engine_line(run: Simulation) -> str:
    """Which engines ran on which memory."""
    seen = Counter((r.pool, r.engine, r.kv_tokens, r.block_size) for r in run.replicas)
    parts = []
    for (pool, engine, kv_tokens, block), count in seen.items():
        copies = f"{count} × " if count > 1 else ""
        where = f"{pool}: " if pool else ""
        parts.append(f"{where}{copies}{engine}, {kv_tokens:,} KV tokens in blocks of {block}")
    if run.setup.transfer:
        parts.append(f"KV moves in {run.setup.transfer}")
    return "; ".join(parts)


def time_lines(run: Simulation) -> list[str]:
    """How long iterations take, once for each kind."""
    return list(dict.fromkeys(replica.time for replica in run.replicas))


def render_simulation(run: Simulation, console: Console) -> None:
    """Print outcome, headline numbers, latencies, replicas and advice.

    Nothing in the result is read as markup, and control characters are shown as escapes.
    """

    def text(words: str, style: str = "") -> Text:
        return Text(writable(printable(words), console.encoding), style=style)

    colour = TONES.get(run.outcome, ("watch", "yellow"))[1]
    content = Text("\n").join(
        [
            text(run.outcome_text, "bold"),
            text(run.name),
            text(engine_line(run)),
            *[text(f"Times: {line}") for line in time_lines(run)],
        ]
    )
    title = Text(" ").join([Text("kvsteady:"), text(run.outcome, "bold")])
    console.print(
        Panel(content, title=title, title_align="left", border_style=colour, box=box.ROUNDED)
    )
    numbers = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 1))
    for headline in headlines(run):
        value = text(f"{headline.value} {headline.unit}".rstrip(), "bold")
        numbers.add_row(text(headline.label), value, text(headline.note))
    console.print(numbers)
    console.print(_latencies(run))
    if len(run.replicas) > 1:
        console.print(_replicas(run, console.encoding))
    for number, item in enumerate(run.advice, start=1):
        console.print(text(f" {number}. {item}"))
    for note in run.notes:
        console.print(text(f" Note: {note}", "dim"))


def _latencies(run: Simulation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("ms")
    for which in PERCENTILES:
        table.add_column(which, justify="right")
    for measure, name in MEASURES:
        table.add_row(name, *[latency(run, measure, which) for which in PERCENTILES])
    return table


def _replicas(run: Simulation, encoding: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("replica", "ended", "completed", "evictions", "KV usage", "busy"):
        table.add_column(name, justify="left" if name in ("replica", "ended") else "right")
    for each in run.replicas:
        table.add_row(
            Text(writable(printable(each.name), encoding)),
            Text(printable(each.ended)),
            f"{each.completed:,}",
            f"{each.num_preemptions_total:,}",
            share(each.kv_cache_usage_perc),
            share(each.busy),
        )
    return table
