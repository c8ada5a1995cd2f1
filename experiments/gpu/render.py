"""Tables (Markdown, printed) and a page of figures from the results in a folder.

python experiments/gpu/render.py RESULTS [page.html]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import loads
import msgspec
from predict import predicted

from kvsteady.report.layout import Figure, axis, figure, line
from kvsteady.report.page import page
from kvsteady.report.plain import escaped

ARMS = {"stock": None, "steady": "steady"}
COLOURS = {"stock": "@greedy", "steady": "@cap"}
_HEAD = (
    "| load | scheduler | repetitions | tokens/s | ITL p50 / p99, ms | evictions "
    "| recomputed tokens | predicted evictions, recomputed |"
)


class Results(msgspec.Struct):
    """What the page carries as its data."""

    experiments: list[dict[str, Any]]


def read(folder: Path) -> list[dict[str, Any]]:
    """The experiments of a folder, by name, with what the simulator says of each repetition."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    for each in found:
        load = getattr(loads, each["experiment"])(each["toy"])
        each["predicted"] = {
            arm: [predicted(load, ARMS[arm], seed) for seed in range(len(runs))]
            for arm, runs in each["runs"].items()
        }
    return found


def table(experiments: list[dict[str, Any]]) -> str:
    """A row per load and scheduler; times only where a GPU was measured at full size."""
    lines = [_HEAD, "|---" * 8 + "|"]
    for each in experiments:
        timed = each["hardware"]["gpu"] and not each["toy"]
        for arm, found in each["intervals"].items():
            many = len(each["runs"][arm])
            foreseen = each["predicted"][arm]
            evictions, again = (
                sum(run[name] for run in foreseen) / many for name in ("evictions", "recomputed")
            )
            speed = _shown(found["tokens_per_second"]) if timed else "–"
            gaps = [_shown(found[name], 1e3, 1) for name in ("itl_p50", "itl_p99")]
            lines.append(
                f"| {each['experiment']} | {arm} | {many} | {speed} "
                f"| {' / '.join(gaps) if timed else '–'} | {_shown(found['evictions'])} "
                f"| {_shown(found['recomputed'])} | {evictions:,.0f}, {again:,.0f} |"
            )
    return "\n".join(lines)


def _shown(found: list[float], unit: float = 1.0, places: int = 0) -> str:
    mean, half = (unit * each for each in found)
    return f"{mean:,.{places}f} ± {half:,.{places}f}"


def usage(experiment: dict[str, Any]) -> Figure:
    """KV usage by batch, of each scheduler's first repetition."""
    traces = []
    for arm, runs in experiment["runs"].items():
        shares = runs[0]["usage"]
        steps = [runs[0]["usage_every"] * i for i in range(len(shares))]
        traces.append(line(steps, shares, COLOURS[arm], name=arm))
    return figure(traces, height=280, xaxis=axis("batch"), yaxis=axis("share of KV blocks in use"))


def bars(experiment: dict[str, Any], name: str, title: str) -> Figure:
    """A measured quantity of each scheduler, with its interval."""
    found = experiment["intervals"]
    return figure(
        [
            {
                "type": "bar",
                "x": list(found),
                "y": [found[arm][name][0] for arm in found],
                "error_y": {"type": "data", "array": [found[arm][name][1] for arm in found]},
                "marker": {"color": [COLOURS[arm] for arm in found]},
            }
        ],
        height=280,
        xaxis=axis(""),
        yaxis=axis(title),
        showlegend=False,
    )


def html(experiments: list[dict[str, Any]]) -> str:
    """One page, with the hardware named."""
    figures: dict[str, Figure] = {}
    parts = ["<h1>Transformers' continuous batching, stock and with kvsteady</h1>"]
    for each in experiments:
        name, where = each["experiment"], each["hardware"]
        size = "a toy model and load: no time says anything" if each["toy"] else "Llama 8B shape"
        about = (
            f"{where['device']}, torch {where['torch']}, transformers {where['transformers']}; "
            f"{size}; {each['load']['requests']} requests; {each['when']}"
        )
        parts += [f"<h2>{escaped(name)}</h2>", f'<p class="muted">{escaped(about)}</p>']
        drawn = {
            "usage": usage(each),
            "evictions": bars(each, "evictions", "evictions"),
            "recomputed": bars(each, "recomputed", "recomputed tokens"),
        }
        if not each["toy"]:
            drawn["speed"] = bars(each, "tokens_per_second", "output tokens per second")
            drawn["itl"] = bars(each, "itl_p99", "p99 time between tokens, s")
        for kind, plot in drawn.items():
            figures[f"{name}.{kind}"] = plot
            parts.append(f'<figure><div class="plot" data-figure="{name}.{kind}"></div></figure>')
    return page("kvsteady on Transformers", "\n".join(parts), figures, data=Results(experiments))


def main(arguments: list[str]) -> None:
    """Print the table; with a second argument write the page there."""
    experiments = read(Path(arguments[0]))
    if not experiments:
        raise SystemExit(f"no results in {arguments[0]}")
    print(table(experiments))
    if len(arguments) > 1:
        Path(arguments[1]).write_text(html(experiments), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
