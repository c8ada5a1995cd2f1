"""Write the tables of docs/league.md: ``make_league_page.py kvsteady-league/league.json``.

What stands between the markers of the page is replaced; the words around it are written by hand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from kvsteady.league import CONTESTS, ENTRANTS, League, Row, load_league
from kvsteady.report.league import STANDINGS, sentence, totals
from kvsteady.report.numbers import share

PAGE = Path(__file__).parents[1] / "docs" / "league.md"
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def main() -> None:
    """Replace the tables."""
    (file,) = sys.argv[1:]
    league = load_league(Path(file).read_bytes(), file=file)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(_lines(league))
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}", "utf-8")


def _lines(league: League) -> Iterator[str]:
    yield totals(league)
    yield ""
    for engine in dict.fromkeys(row.engine for row in league.rows):
        rows = {(row.workload, row.entrant): row for row in league.rows if row.engine == engine}
        yield from (f"## {engine}", "")
        yield from ("### The bars", "")
        yield from ("| workload | | steady |", "|---|---|---|")
        for verdict in league.verdicts:
            if verdict.engine == engine:
                standing = STANDINGS[verdict.standing]
                standing = standing if standing == "holds" else f"**{standing}**"
                yield f"| `{verdict.workload}` | {standing} | {sentence(verdict)} |"
        yield ""
        yield from ("### Output tokens per second, over the best tuned baseline", "")
        yield from _matrix(rows, lambda row: row.mean("tokens_per_second"), "{:.3f}", relative=True)
        yield from ("### Completions per decode iteration over x*, and recompute tax", "")
        yield from _matrix(rows, _completions, "{}")
        yield from ("### p99 time between tokens, milliseconds", "")
        yield from _matrix(rows, lambda row: row.mean("itl_p99_ms"), "{:.0f}")
        opened = {key: row for key, row in rows.items() if CONTESTS[key[0]].load}
        if opened:
            yield from ("### p99 time to the first token, seconds", "")
            yield from _matrix(opened, lambda row: row.mean("ttft_p99_s"), "{:.2f}")
            yield from ("### Goodput, requests per second", "")
            yield from _matrix(opened, lambda row: row.mean("goodput"), "{:.1f}")


def _completions(row: Row) -> str:
    return f"{row.mean('of_x'):.3f}, {share(row.mean('recompute_tax'))}"


def _matrix(
    rows: dict[tuple[str, str], Row],
    value: Callable[[Row], float | str],
    form: str,
    *,
    relative: bool = False,
) -> Iterator[str]:
    entrants = [name for name in ENTRANTS if any(entrant == name for _, entrant in rows)]
    yield f"| workload | {' | '.join(entrants)} |"
    yield f"|---|{'---|' * len(entrants)}"
    for workload in dict.fromkeys(workload for workload, _ in rows):
        unit = 1.0
        if relative:
            unit = max(
                row.mean("tokens_per_second")
                for (where, _), row in rows.items()
                if where == workload and row.role == "baseline"
            )
        line = []
        for entrant in entrants:
            row = rows.get((workload, entrant))
            found = "" if row is None else value(row)
            if isinstance(found, float):
                found = "" if math.isnan(found) else form.format(found / unit)
            line.append(found)
        yield f"| `{workload}` | {' | '.join(line)} |"
    yield ""


if __name__ == "__main__":
    main()
