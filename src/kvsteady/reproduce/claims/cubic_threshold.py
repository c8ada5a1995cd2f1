"""The prompt from which neighbouring lengths are stable grows like the cube of the output."""

from __future__ import annotations

import math

from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, exactly, near
from kvsteady.reproduce.finding import ROLES, Chart, Check, Series
from kvsteady.theory.thresholds import prompt_threshold
from kvsteady.workload.law import Workload

_LENGTHS = (8, 16, 32, 64, 96, 128)
# Thresholds from a scan (specification, section 5): (l, tickets of l − 1 and l) to l0,min.
_SCANNED = {(16, (1, 1)): 742, (32, (1, 1)): 6308, (64, (1, 1)): 51_833,
            (32, (1, 4)): 10_168, (96, (1, 4)): 278_343}  # fmt: skip


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    ratios: dict[tuple[int, int], list[float]] = {}
    done, total = 0, 2 * len(_LENGTHS)
    half_lines = 0
    for tickets in ((1, 1), (1, 4)):
        for length in _LENGTHS:
            load = Workload.from_counts([0, 0], [length - 1, length], list(tickets))
            found = prompt_threshold(load)
            least = math.nan if found.least is None else float(found.least)
            half_lines += found.monotone
            ratios.setdefault(tickets, []).append(least / length**3)
            scanned = _SCANNED.get((length, tickets))
            if scanned is not None:
                shares = "/".join(f"{part / sum(tickets):g}" for part in tickets)
                checks.append(
                    exactly(
                        f"l0,min of outputs {length - 1}, {length} in shares {shares}, proved",
                        least,
                        scanned,
                    )
                )
            done += 1
            progress(done, total)
    for tickets, found_ratios in ratios.items():
        share = tickets[0] / sum(tickets)
        said = 1 / (2 * math.pi**2 * share * (1 - share))
        # l0,min / l³ = c (1 + a / l + …): one step of extrapolation from the last two.
        short, long = _LENGTHS[-2:]
        limit = (long * found_ratios[-1] - short * found_ratios[-2]) / (long - short)
        checks.append(
            near(f"lim l0,min / l³, shares {share:g} and {1 - share:g}", limit, said, 5e-3)
        )
    checks.append(exactly("threshold sets that are proved to be half-lines", half_lines, total))
    return Measured(
        "Thresholds are exact: every prompt at which a root meets the unit circle is isolated in "
        "integer and ball arithmetic, and the counts at l0,min and l0,min − 1 are proved. Over l³ "
        "they tend to 1 / (2π² p (1 − p)), which is 2/π² for equal shares.",
        tuple(checks),
        (
            Chart(
                "l0,min over l³",
                "l",
                "l0,min / l³",
                (
                    *(
                        Series(
                            f"p = {tickets[0] / sum(tickets):g}",
                            tuple(map(float, _LENGTHS)),
                            tuple(values),
                            "points",
                            role,
                        )
                        for (tickets, values), role in zip(ratios.items(), ROLES[:2], strict=True)
                    ),
                    *(
                        Series(
                            f"1 / (2π² p(1−p)), p = {p:g}",
                            (8.0, 128.0),
                            (1 / (2 * math.pi**2 * p * (1 - p)),) * 2,
                            "dashes",
                            "muted",
                        )
                        for p in (0.5, 0.8)
                    ),
                ),
                x_log=True,
            ),
        ),
    )


CLAIM = Claim(
    key="cubic-threshold",
    title="Cubic prompt threshold",
    source="paper: Proposition 4",
    says="Outputs l − 1 and l are stable from a prompt of about l³ on: (2/π²) l³ in equal shares, "
    "l³ / (2π² p (1 − p)) in general.",
    measure=_measure,
)
