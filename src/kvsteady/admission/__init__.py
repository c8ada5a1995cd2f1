"""What an admission policy sees and answers, wherever it runs."""

from kvsteady.admission.policy import Policy, Setup, ask, decide, decide_of
from kvsteady.admission.victim import Victim, victim_of
from kvsteady.admission.view import (
    COMPLETED,
    EVICTED,
    NO_LIMIT,
    SHOWN_CONTENT,
    View,
    new_view,
    with_room,
)

__all__ = [
    "COMPLETED",
    "EVICTED",
    "NO_LIMIT",
    "SHOWN_CONTENT",
    "Policy",
    "Setup",
    "Victim",
    "View",
    "ask",
    "decide",
    "decide_of",
    "new_view",
    "victim_of",
    "with_room",
]
