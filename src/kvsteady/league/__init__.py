"""The league: admission policies on one suite of workloads and engines, side by side."""

from kvsteady.league.season import Season, play_season, table_so_far
from kvsteady.league.table import League, Row, Verdict, load_league

__all__ = [
    "League",
    "Row",
    "Season",
    "Verdict",
    "load_league",
    "play_season",
    "table_so_far",
]
