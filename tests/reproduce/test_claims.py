"""The quicker claims, measured; `make reproduce` measures them all."""

import pytest

from kvsteady.reproduce import Outcome, load_reproduction, reproduce
from kvsteady.reproduce.claims import CLAIMS

QUICK = (
    "reference-run",
    "spread-growth",
    "worst-cycle",
    "support-loss",
    "exact-capture",
    "envelope",
    "coprime-evictions",
    "pulse-cycle",
    "growth",
    "open-loop",
    "engine-decisions",
)


@pytest.mark.parametrize("key", QUICK)
def test_the_claim_stands_and_is_saved_as_it_is(key: str) -> None:
    found = reproduce(only=[key])
    assert load_reproduction(found.to_json()) == found
    (finding,) = found.findings
    failed = [check for check in finding.checks if not check.holds]
    assert not failed
    assert finding.checks
    assert finding.charts, "a claim that is measured has its figure"
    assert all(series.x for chart in finding.charts for series in chart.series)
    assert finding.outcome in (Outcome.REPRODUCED, Outcome.WITH_CONDITIONS)


def test_every_claim_has_its_own_key_and_a_source() -> None:
    keys = [claim.key for claim in CLAIMS]
    assert len(set(keys)) == len(keys)
    for claim in CLAIMS:
        assert claim.source.startswith(("paper", "ours", "open"))
        assert (claim.measure is None) == bool(claim.why_not)
