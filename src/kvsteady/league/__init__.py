"""The league: admission policies on one suite of workloads and engines, side by side."""

from kvsteady.league.drift import Drift
from kvsteady.league.entrants import ENTRANTS, Entrant
from kvsteady.league.match import Match, play
from kvsteady.league.measure import Result
from kvsteady.league.season import Season, play_season, table_so_far
from kvsteady.league.table import League, Row, Verdict, load_league
from kvsteady.league.workloads import CONTESTS, Contest

__all__ = [
    "CONTESTS",
    "ENTRANTS",
    "Contest",
    "Drift",
    "Entrant",
    "League",
    "Match",
    "Result",
    "Row",
    "Season",
    "Verdict",
    "load_league",
    "play",
    "play_season",
    "table_so_far",
]
