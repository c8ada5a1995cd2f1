from __future__ import annotations

import math

import pytest

from kvsteady.report.numbers import counted, modulus, quantity, share
from kvsteady.report.plain import escaped, in_figure, printable, writable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.50796, "0.5080"),
        (3.2101, "3.210"),
        (260.078, "260.1"),
        (100_000.0, "100,000"),
        (1234.5, "1,234"),
        (200.0000000000001, "200"),
        (12_345.6, "12,346"),
        (0.0, "0"),
        (1.0, "1"),
        (0.00012345, "0.0001234"),
        (1.2e-7, "1.2e-07"),
        (math.inf, "inf"),
    ],
)
def test_quantities_have_four_digits_and_separated_thousands(value: float, text: str) -> None:
    assert quantity(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3992, "39.9%"),
        (0.0, "0%"),
        (4e-13, "0%"),
        (-2e-16, "0%"),
        (4e-4, "< 0.1%"),
        (-0.02, "-2.0%"),
        (1.0, "100.0%"),
        (0.0005, "0.1%"),
    ],
)
def test_shares_do_not_round_something_to_nothing(value: float, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0031422612, "1.00314"), (0.9994238619, "0.999424"), (4 / 3, "1.333"), (1.0, "1.000")],
)
def test_a_modulus_shows_its_distance_from_the_circle(value: float, text: str) -> None:
    assert modulus(value) == text


def test_plurals() -> None:
    assert (counted(1, "root"), counted(1024, "root")) == ("1 root", "1,024 roots")


def test_control_and_bidirectional_characters_are_shown_as_escapes() -> None:
    assert printable("a\x1b[31m\u202eb\n\tc") == "a\\x1b[31m\\u202eb  c"
    assert printable("a\nb", lines=True) == "a\nb"
    assert printable("caf\udce9") == "caf\\udce9"


def test_html_is_escaped_in_text_attributes_and_figures() -> None:
    assert escaped("<a href='\"'>&") == "&lt;a href=&#x27;&quot;&#x27;&gt;&amp;"
    assert in_figure("<b>&") == "&lt;b&gt;&amp;"


def test_signs_are_spelt_out_where_the_stream_cannot_write_them() -> None:
    assert writable("3 × 4 → 12, ß", "ascii") == "3 x 4 -> 12, ?"
    assert writable("3 × 4 → 12", "utf-8") == "3 × 4 → 12"
