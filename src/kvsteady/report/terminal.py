"""A summary for the terminal, as readable without colour, and in ASCII."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from kvsteady.advise.analysis import Analysis, EngineSettings
from kvsteady.report.facts import Tone, key_numbers, notes, tone, workload_line
from kvsteady.report.plain import printable, writable

_COLOURS: Final[dict[Tone, str]] = {
    "good": "green",
    "calm": "cyan",
    "watch": "yellow",
    "act": "red",
}


def render_terminal(analysis: Analysis, console: Console) -> None:
    """Print verdict, key numbers, advice, settings and notes.

    Nothing in the analysis is read as markup, and control characters are shown as escapes.
    Commands to paste are never wrapped.
    """
    _Printer(analysis, console).everything()


class _Printer:
    def __init__(self, analysis: Analysis, console: Console) -> None:
        self._analysis = analysis
        self._console = console

    def everything(self) -> None:
        self._verdict()
        self._numbers()
        self._advice()
        for engine in self._analysis.settings:
            self._engine(engine)
        self._notes()

    def _text(self, text: str, style: str = "") -> Text:
        """Safe on any terminal: no markup, no control characters, in the stream's encoding."""
        return Text(writable(printable(text), self._console.encoding), style=style)

    def _verdict(self) -> None:
        colour = _COLOURS[tone(self._analysis)]
        content = Text("\n").join(
            [
                self._text(self._analysis.verdict_text, "bold"),
                self._text(f"{self._analysis.workload.name}: {workload_line(self._analysis)}"),
            ]
        )
        title = Text(" ").join([Text("kvsteady:"), self._text(self._analysis.verdict, "bold")])
        panel = Panel(
            content, title=title, title_align="left", border_style=colour, box=box.ROUNDED
        )
        self._console.print(panel)

    def _numbers(self) -> None:
        facts = key_numbers(self._analysis)
        indent = max(len(fact.label) for fact in facts) + 3
        for fact in facts:
            line = self._text(f"{fact.value} {fact.unit}".rstrip(), "bold")
            line.append_text(self._text(f" ({fact.note})", "not bold"))
            self._paragraph(line, indent, lead=self._text(f" {fact.label}"))

    def _advice(self) -> None:
        self._console.print()
        for number, item in enumerate(self._analysis.advice, start=1):
            line = self._text(f"{item.title}.", "bold")
            line.append_text(self._text(f" {item.text}", "not bold"))
            self._paragraph(line, 4, lead=Text(f" {number}."))

    def _engine(self, engine: EngineSettings) -> None:
        self._console.print()
        head = self._text(f"{engine.engine} {engine.version}", "bold")
        head.append_text(self._text(f" (evictions: {engine.eviction}) {engine.note}", "not bold"))
        self._paragraph(head, 1)
        for setting in engine.settings:
            for line in setting.paste.split("\n"):
                # Soft: a command cut in two does not paste.
                command = Text("   ").append_text(self._text(line, "bold cyan"))
                self._console.print(command, soft_wrap=True)
            effect = self._text(setting.effect)
            effect.append_text(self._text(f" [{setting.source}]", "dim"))
            self._paragraph(effect, 5)

    def _notes(self) -> None:
        for number, note in enumerate(notes(self._analysis)):
            if number == 0:
                self._console.print()
            self._paragraph(self._text(f"Note: {note}", "dim"), 1)

    def _paragraph(self, text: Text, indent: int, *, lead: Text | None = None) -> None:
        """Wrapped with a hanging indent, in which ``lead`` stands; no trailing spaces."""
        width = max(20, self._console.width - indent - 1)
        for number, line in enumerate(text.wrap(self._console, width)):
            start = (lead if lead and number == 0 else Text("")).copy()
            start.pad_right(max(0, indent - start.cell_len))
            line.rstrip()
            self._console.print(start.append_text(line), soft_wrap=True)
