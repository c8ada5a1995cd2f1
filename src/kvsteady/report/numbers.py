"""Numbers as a person reads them: 3 to 4 significant digits, thousands separated."""

from __future__ import annotations

import math


def quantity(value: float, digits: int = 4) -> str:
    """A rate or a count: 0.5080, 3.152, 260.1, 100,000."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 10**digits:
        shift = 0 if value == 0 else math.floor(math.log10(abs(value)))
        text = f"{value:,.{max(0, digits - 1 - shift)}f}"
        whole = math.isclose(value, round(value), rel_tol=1e-9)
        return text.partition(".")[0] if whole else text
    return f"{value:,.0f}" if abs(value) >= 1 else f"{value:.{digits - 1}g}"


def share(value: float) -> str:
    """A fraction as a percentage; rounding errors are 0%, what is small is said to be below."""
    if abs(value) < 1e-9:
        return "0%"
    return "< 0.1%" if 0 < value < 0.0005 else f"{value:.1%}"


def modulus(value: float) -> str:
    """A modulus with three digits of its distance from the unit circle: 1.00314, 0.999424."""
    distance = abs(value - 1)
    places = 3 if distance == 0 else min(12, max(2, 2 - math.floor(math.log10(distance))))
    return f"{value:.{places}f}"


def counted(number: int, thing: str) -> str:
    """``1 class``-like phrases for things whose plural adds an s."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
