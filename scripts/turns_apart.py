"""``conversations`` with turns nearer to each other: is memory better left to the prefix cache.

    python scripts/turns_apart.py [ENGINE]

What is not held keeps what was said before in a conversation, until it is taken. The fewer turns of
others lie between two of one, the more of it is found, and the more there is to lose by running
many. Per distance, over seeds 1 to 3, of ``steady`` and of each baseline with the constants that
have most tokens per second on seed 0: output tokens per second over those of ``steady``, prompt
tokens found in the cache per request, requests that decode, share of memory that is held. Then
``max-active``, which keeps memory free, at several levels. Grids reach further than in the league,
whose x* is that of nothing found. Behind what docs/league.md says of it. Five minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from kvsteady.league import match as matches
from kvsteady.league.engines import EngineName
from kvsteady.league.entrants import ENTRANTS, Constants
from kvsteady.league.loads import Conversations
from kvsteady.league.match import Match, play
from kvsteady.league.measure import Result

APART: Final = (40, 80, 120, 200)
SEEDS: Final = (1, 2, 3)
FURTHER: Final = {
    "max-active": ("of_running", (1.2, 1.3, 1.4, 1.6)),
    "rate-cap-seconds": ("of_x", (1.2, 1.3, 1.4, 1.6)),
}
PLAYERS: Final = ("greedy", "watermark", "new-token-ratio", "max-active", "rate-cap-seconds")
LEVELS: Final = (0.7, 0.85, 1.0, 1.2)


def main() -> None:
    """A line per distance and policy."""
    engine: Any = sys.argv[1] if sys.argv[1:] else "vllm"
    for apart in APART:
        _set_apart(apart)
        ours = _season(engine, "steady", ())
        show(f"{apart} apart, steady", ours, ours)
        for name in PLAYERS:
            word, more = FURTHER.get(name, ("", ()))
            grid = [*ENTRANTS[name].grid, *(((word, value),) for value in more)]
            tried = {c: play(_match(engine, name, 0, c)).tokens_per_second for c in grid}
            best = max(tried, key=tried.__getitem__)
            show(f"{apart} apart, {name} {dict(best)}", _season(engine, name, best), ours)
        for level in LEVELS:
            found = _season(engine, "max-active", (("of_running", level),))
            show(f"{apart} apart, max-active at {level:g}", found, ours)


def _set_apart(apart: int) -> None:
    """Have the league play conversations whose turns come so many others after the last."""

    def near(*given: Any, **options: Any) -> Conversations:
        return replace(Conversations(*given, **options), together=apart)

    matches.Conversations = near  # type: ignore[misc,assignment]


def _match(engine: EngineName, entrant: str, seed: int, constants: Constants) -> Match:
    return Match(
        workload="conversations", entrant=entrant, engine=engine, seed=seed, constants=constants
    )


def _season(engine: EngineName, entrant: str, constants: Constants) -> list[Result]:
    return [play(_match(engine, entrant, seed, constants)) for seed in SEEDS]


def show(what: str, results: Sequence[Result], ours: Sequence[Result]) -> None:
    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    over = mean(
        [a.tokens_per_second / b.tokens_per_second for a, b in zip(results, ours, strict=True)]
    )
    print(
        f"{what}: {over:.3f} of the tokens/s, "
        f"{mean([each.cached_tokens or 0.0 for each in results]):.0f} tokens found, "
        f"{mean([each.decoding for each in results]):.0f} decode, "
        f"{mean([each.kv_usage for each in results]):.0%} held",
        flush=True,
    )


if __name__ == "__main__":
    main()
