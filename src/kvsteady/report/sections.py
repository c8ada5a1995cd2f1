"""The parts of the HTML report that are text. Whatever comes from the analysis is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from kvsteady.advise.analysis import Analysis, EngineSettings, Setting
from kvsteady.report.facts import EVICTION, key_numbers, tone, workload_line
from kvsteady.report.facts import notes as all_notes
from kvsteady.report.numbers import quantity, share
from kvsteady.report.plain import escaped


def heading(analysis: Analysis) -> str:
    """Workload and verdict."""
    first = f"<p><b>{escaped(analysis.advice[0].title)}.</b></p>" if analysis.advice else ""
    return (
        '<p class="brand"><b>kvsteady</b> report</p>'
        f'<section class="verdict {tone(analysis)}">'
        f'<div class="label">{escaped(analysis.verdict)}</div>'
        f"<h1>{escaped(analysis.verdict_text)}</h1>{first}"
        f'<p class="muted">{escaped(analysis.workload.name)}: '
        f"{escaped(workload_line(analysis))}.</p></section>"
    )


def numbers(analysis: Analysis) -> str:
    """The key numbers as cards."""
    cards = "".join(
        f'<div><dt>{escaped(fact.label)}</dt><dd class="value">{escaped(fact.value)} '
        f'<span class="unit">{escaped(fact.unit)}</span></dd>'
        f'<dd class="note">{escaped(fact.note)}</dd></div>'
        for fact in key_numbers(analysis)
    )
    return f'<h2>Key numbers</h2><dl class="cards">{cards}</dl>'


def advice(analysis: Analysis) -> str:
    """What to do, and why."""
    items = "".join(
        f"<li><b>{escaped(item.title)}.</b> {escaped(item.text)}</li>" for item in analysis.advice
    )
    return f'<h2>Advice</h2><ol class="advice">{items}</ol>' if items else ""


def settings(analysis: Analysis) -> str:
    """What to paste into each engine, and where each flag is defined."""
    engines = "".join(map(_engine, analysis.settings))
    return f"<h2>Settings to paste</h2>{engines}" if engines else ""


def runs(analysis: Analysis) -> str:
    """How each run of the model ends."""
    rows = [
        (
            run.policy,
            {"fluid": "fluid", "integer": "whole requests"}[run.arithmetic],
            run.start,
            f"{run.iterations:,}",
            quantity(run.throughput),
            share(run.throughput / analysis.x_star),
            share(run.useful_tokens / analysis.running),
            quantity(run.evictions, 3),
            quantity(run.wasted_tokens, 3),
            share(run.memory / analysis.kv_tokens),
        )
        for run in analysis.runs
    ]
    head = (
        "policy",
        "model",
        "start",
        "iterations",
        "completed /it.",
        "of x*",
        "tokens kept",
        "evicted /it.",
        "tokens lost /it.",
        "memory",
    )
    if not rows:
        return ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return (
        "<h2>How the runs end</h2>"
        '<p class="muted">Averages over the end of each run, per iteration. Evicted requests lose '
        "their generated tokens (restart) and decode them again.</p>"
        f'<div class="scroll"><table><thead><tr>{_cells("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def notes(analysis: Analysis) -> str:
    """How memory and lengths were found."""
    items = "".join(f"<li>{escaped(note)}</li>" for note in all_notes(analysis))
    return f'<h2>Notes</h2><ul class="notes">{items}</ul>' if items else ""


def footer(analysis: Analysis) -> str:
    """Version, and the data behind the page."""
    return (
        f"<footer><p>kvsteady {escaped(analysis.kvsteady_version)}, schema "
        f"{analysis.schema_version}. x* is the largest rate of completions in the mix of the "
        "workload; an iteration is one batch of the engine. "
        '<button id="save" type="button">Save the analysis as JSON</button></p>'
        "<noscript>The figures need JavaScript; the numbers above do not.</noscript></footer>"
    )


def _engine(engine: EngineSettings) -> str:
    eviction = EVICTION[engine.eviction]
    return (
        f'<section class="engine"><h3>{escaped(engine.engine)} '
        f'<span class="muted">{escaped(engine.version)}</span></h3>'
        f'<p class="semantics"><b>{escaped(engine.eviction)}</b>: {eviction}. '
        f'<span class="muted">{escaped(engine.note)}.</span></p>'
        f"{''.join(map(_setting, engine.settings))}</section>"
    )


def _setting(setting: Setting) -> str:
    return (
        f'<div class="setting"><pre>{escaped(setting.paste, lines=True)}</pre>'
        f"<p>{escaped(setting.effect)}</p>"
        f'<p class="source">Source: {escaped(setting.source)}</p></div>'
    )


def _cells(tag: str, row: Iterable[str]) -> str:
    """The first three columns are words, the others numbers."""
    kinds = ("", "", "")
    return "".join(
        f"<{tag}{kind}>{escaped(cell)}</{tag}>"
        for cell, kind in zip_longest(row, kinds, fillvalue=' class="number"')
    )
