"""A tuning for the terminal: readable without colour, and in ASCII."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kvsteady.advise.tuning.counsel import percent
from kvsteady.advise.tuning.paste import pasted
from kvsteady.advise.tuning.record import Effect, Measured, Tuning
from kvsteady.report.numbers import counted, quantity, share
from kvsteady.report.plain import printable, writable

# Tone of each outcome, as in the reports, and its colour.
TONES: Final = {
    "do-nothing": ("good", "green"),
    "cannot-tell": ("calm", "cyan"),
    "set-flags": ("watch", "yellow"),
    "use-policy": ("watch", "yellow"),
    "stuck": ("act", "red"),
}
ACTS: Final = ("set-flags", "use-policy")
# What an effect is called, and how many digits a change of it has.
NAMES: Final = {
    "tokens_per_second": "output tokens/s",
    "completions_per_iteration": "completions per iteration",
    "recompute_tax": "recompute tax",
    "recomputed_share": "recomputed, of all computed",
    "evictions_per_completion": "evictions per completion",
    "decoding": "requests that decode",
    "itl_p50_ms": "p50 ITL, ms",
    "itl_p99_ms": "p99 ITL, ms",
    "ttft_p99_s": "p99 TTFT, s",
    "goodput": "goodput, requests/s",
    "good": "good requests",
}
_SHARES: Final = ("recompute_tax", "recomputed_share", "good")
COMPARED: Final = ("setting", "gain", "95% interval", "tax", "compl./it.", "p99 ITL", "p99 TTFT")
EFFECTS: Final = ("", "as it is", "with it", "change", "95% interval")


def render_tuning(found: Tuning, console: Console) -> None:
    """Print the outcome, the advice, what was compared, and what the front runner changes.

    Nothing in the result is read as markup; settings to paste are never cut.
    """

    def text(words: str, style: str = "") -> Text:
        return Text(writable(printable(words), console.encoding), style=style)

    colour = TONES.get(found.outcome, ("watch", "yellow"))[1]
    lines = [text(found.outcome_text, "bold"), *(text(each) for each in subject(found))]
    title = Text(" ").join([Text("kvsteady tune:"), text(found.outcome, "bold")])
    console.print(
        Panel(
            Text("\n").join(lines),
            title=title,
            title_align="left",
            border_style=colour,
            box=box.ROUNDED,
        )
    )
    for number, item in enumerate(found.advice, start=1):
        line = text(f"{number}. {item.title}. ", "bold")
        line.append_text(text(item.text, "not bold"))
        console.print(line)
    runner = found.front_runner
    if runner is not None and found.outcome in ACTS:
        # Soft: a command cut in two does not paste.
        console.print(text(f"   {pasted(found.engine, runner)}", "bold cyan"), soft_wrap=True)
    console.print()
    if found.compared:
        console.print(text(compared_title(found), "bold"))
        console.print(_table(COMPARED, compared_cells(found), console))
    if runner is not None:
        console.print(text(effects_title(found, runner), "bold"))
        console.print(_table(EFFECTS, effect_cells(runner), console))
    for note in found.notes:
        console.print(text(f"Note: {note}", "dim"))


def subject(found: Tuning) -> tuple[str, ...]:
    """What was tuned, in a few lines."""
    load = found.workload
    memory = f"{found.kv_tokens:,} KV tokens"
    if found.block_size > 1:
        memory += f" in blocks of {found.block_size:,}"
    told = "" if found.max_tokens is None else f", max_tokens {found.max_tokens:,}"
    own = f", {found.options}" if found.options else ""
    return (
        f"{load.name}: mean prompt {quantity(load.mean_prompt)}, mean output "
        f"{quantity(load.mean_output)}, {memory}{told}",
        f"{found.engine}{own}; evictions: {found.eviction}; times: {found.time}",
        f"{how_loaded(found)}; objective: {found.objective.title}",
    )


def how_loaded(found: Tuning) -> str:
    """How requests come."""
    if found.load.rate is None:
        return "Load: a queue that never empties"
    share_of = found.load.of_capacity
    of = "" if share_of is None else f", {share_of:.0%} of what it serves without evictions"
    when = "as recorded" if found.load.kind == "replayed" else "at random times"
    return f"Load: {quantity(found.load.rate, 3)} requests/s {when}{of}"


def compared_title(found: Tuning) -> str:
    """Over the table of families."""
    return (
        f"Best of each family, of {counted(len(found.tried), 'change')}, against the engine as it "
        f"is, on {counted(len(found.seeds.comparing), 'seed')}"
    )


def effects_title(found: Tuning, runner: Measured) -> str:
    """Over the table of the front runner."""
    return (
        f"{runner.setting}, on {counted(len(found.seeds.confirming), 'seed')} that took part in no "
        "choice"
    )


def compared_cells(found: Tuning) -> list[tuple[str, ...]]:
    """A row per family, the largest gain first, under the heads of `COMPARED`."""
    rows = sorted(
        found.compared, key=lambda each: -each.gain.mean if each.gain is not None else math.inf
    )
    cells = []
    for each in rows:
        gain = percent(each.gain) if each.gain is not None else each.outcome
        mean, _, span = gain.partition(" (")
        cells.append(
            (
                each.setting,
                mean,
                span.rstrip(")"),
                *(_after(each, name) for name in ("recompute_tax", "completions_per_iteration")),
                *(_after(each, name) for name in ("itl_p99_ms", "ttft_p99_s")),
            )
        )
    return cells


def effect_cells(each: Measured) -> list[tuple[str, ...]]:
    """A row per number, under the heads of `EFFECTS`."""
    return [
        (
            NAMES.get(effect.name, effect.name),
            value(effect.name, effect.before),
            value(effect.name, effect.after),
            _changed(effect, effect.change.mean),
            f"{_changed(effect, effect.change.low)} to {_changed(effect, effect.change.high)}",
        )
        for effect in each.effects
    ]


def value(name: str, number: float) -> str:
    """A number of an effect: shares as percentages."""
    return share(number) if name in _SHARES else quantity(number, 4)


def _changed(effect: Effect, number: float) -> str:
    if effect.name in _SHARES:
        return f"{100 * number:+.1f} pp"
    sign = "+" if number > 0 else "-" if number < 0 else ""
    return f"{sign}{quantity(abs(number), 3)}"


def _after(each: Measured, name: str) -> str:
    effect = each.effect(name)
    return "" if effect is None else value(name, effect.after)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> Table:
    """A table without the columns that nobody fills."""
    shown = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place in shown:
        table.add_column(
            writable(heads[place], console.encoding),
            justify="right" if place else "left",
            no_wrap=place > 0,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(writable(printable(row[place]), console.encoding)) for place in shown))
    return table
