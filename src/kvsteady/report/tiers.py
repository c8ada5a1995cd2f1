"""A comparison of tiers for the terminal: a table, then what to do."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kvsteady.advise.tier_records import TierReport, TierRow
from kvsteady.report.numbers import counted, modulus, quantity, share
from kvsteady.report.plain import printable, writable

_NARROW = 100  # columns below which a table would be cut: rows are then written out


def render_tiers(report: TierReport, console: Console) -> None:
    """Print the designs side by side, what the numbers mean, and the advice.

    Nothing in the report is read as markup. On a terminal narrower than 100 columns each design is
    a paragraph.
    """

    def text(words: str, style: str = "") -> Text:
        return Text(writable(printable(words), console.encoding), style=style)

    console.print(text(f"{report.name} on {report.kv_tokens:,} KV tokens", "bold"))
    console.print(text(f"Tiers within {_within(report)}: {report.outcome_text}."))
    console.print(text(_searched(report), "dim"))
    console.print()
    if console.width >= _NARROW:
        console.print(_table(report, console))
    else:
        for row in report.rows:
            console.print(text(row.name, "bold"))
            pairs = zip(_HEADINGS[1:], _cells(row)[1:], strict=True)
            numbers = ", ".join(f"{_flat(heading)} {cell}" for heading, cell in pairs)
            console.print(Padding(text(numbers), (0, 0, 0, 2)))
    console.print()
    for number, item in enumerate(report.advice, start=1):
        line = text(f"{number}. {item.title}. ", "bold")
        line.append_text(text(f"{item.text}.", "not bold"))
        console.print(line)
    console.print()
    for note in _notes(report):
        console.print(text(note, "dim"))


_HEADINGS = (
    "tiers",
    "lengths",
    "gcd",
    "verdict",
    "roots\noutside",
    "spectral\nradius",
    "doubles (+) or\nhalves (−) in",
    "restart\nfluid",
    "restart\ninteger",
    "resume\nrecompute",
    "resume\ncompletions",
    "tokens\ngained",
)


def _table(report: TierReport, console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for place, heading in enumerate(_HEADINGS):
        words = writable(heading, console.encoding)
        table.add_column(words, justify="left" if place < 2 else "right", overflow="fold")
    for row in report.rows:
        table.add_row(
            *(Text(writable(printable(cell), console.encoding)) for cell in _cells(row)),
            style="bold" if row.verdict == "stable" else "",
        )
    return table


def _cells(row: TierRow) -> tuple[str, ...]:
    gain = row.gain
    if row.doubling_iterations is not None:
        speed = f"+{quantity(row.doubling_iterations)}"
    elif row.halving_iterations is not None:
        speed = f"−{quantity(row.halving_iterations)}"
    else:
        speed = "neither"
    return (
        row.name,
        _lengths(row),
        f"{row.gcd:,}",
        f"{row.verdict}, proved" if row.proved else row.verdict,
        "?" if row.roots_outside is None else f"{row.roots_outside:,}",
        max(f"{row.radius:.6f}", modulus(row.radius), key=len),
        speed,
        share(gain.restart_fluid) + ("" if gain.settled else " ?"),
        share(gain.restart_integer),
        share(gain.recompute_tax),
        share(gain.resume_completions),
        f"{row.tokens_gained:+.1%}",
    )


def _lengths(row: TierRow) -> str:
    """Lengths, with the shares where they differ."""
    if not row.outputs:
        return "even"
    if max(row.shares) - min(row.shares) < 1e-9:
        return " ".join(map(str, row.outputs))
    return " ".join(
        f"{output}:{part:.3g}" for output, part in zip(row.outputs, row.shares, strict=True)
    )


def _flat(heading: str) -> str:
    return heading.replace("\n", " ")


def _within(report: TierReport) -> str:
    if report.tolerance_unit == "share":
        size = share(report.tolerance)
    else:
        size = counted(int(report.tolerance), "token")
    way = {"down": "shorter", "up": "longer", "both": "shorter or longer"}[report.direction]
    moved = f", shares within {report.share_tolerance:g}" if report.share_tolerance else ""
    return f"{size} ({way}{moved})"


def _searched(report: TierReport) -> str:
    how = "exhaustive" if report.exhaustive else "local search, not exhaustive"
    words = [
        f"{counted(report.candidates, 'design')} looked at, {report.evaluated:,} spectra; {how}."
    ]
    if report.radius_floor:
        words.append(f"No radius within the tolerance is below {modulus(report.radius_floor)}.")
    return " ".join(words)


def _smallest(report: TierReport) -> str:
    found = report.smallest
    if found is None:
        return ""
    if found.excluded == found.compared:
        return ", and so is that none of the designs looked at has a smaller radius than best 1"
    left = counted(found.compared - found.excluded, "design")
    return f"; {left} not excluded may have a radius smaller than best 1's by {found.gap:.1g} of it"


def _notes(report: TierReport) -> tuple[str, ...]:
    proofs = "Verdicts are floating point: pip install 'kvsteady[certify]' for proofs."
    if report.certified:
        proofs = f"Verdicts and counts are proved in exact arithmetic{_smallest(report)}."
    short = not all(row.gain.settled for row in report.rows)
    unsettled = ("?: the run was too short for the slowest mode to grow or die.",) if short else ()
    return (
        "restart: output tokens generated for good, of those of the design's own equilibrium x* "
        "(fluid: worse of two starts; integer: from empty). resume: recomputed share of prefilled "
        "tokens, completions of x*, whole requests. tokens gained: per iteration under restart, "
        "fluid, against the tiers as given; shorter outputs hold less memory, which is part of it. "
        "Above 1 a smaller radius means slower growth, not a smaller loss.",
        *unsettled,
        proofs,
    )
