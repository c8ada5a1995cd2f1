from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.memory import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("80GiB", 85_899_345_920),
        ("80 GB", 80_000_000_000),
        ("80e9", 80_000_000_000),
        ("81559MiB", 85_520_809_984),  # nvidia-smi on an H100: 81559 × 1,048,576
        ("1.5kib", 1536),
        ("2TB", 2_000_000_000_000),
        (17, 17),
        (8e10, 80_000_000_000),
        ("0.1GB", 100_000_000),  # exact: not through a binary fraction
    ],
)
def test_sizes_as_people_write_them(written: object, size: int) -> None:
    assert parse_bytes(written) == size


@pytest.mark.parametrize(
    "bad",
    ["", "GiB", "80GG", "80Gi B", "-1GB", "nan", "inf", "1e99", "٣GB", "80GiB\n80", "0", "0.4B"],
)
def test_text_that_is_no_size_is_refused(bad: str) -> None:
    with pytest.raises(InputError, match="gpu_memory"):
        parse_bytes(bad, field="gpu_memory")


@pytest.mark.parametrize(
    "bad", ["9" * 300, 10**300, float("nan"), float("inf"), -1, 0, True, None, [80]]
)
def test_what_is_no_size_is_refused(bad: object) -> None:
    with pytest.raises(InputError, match="gpu_memory") as caught:
        parse_bytes(bad, field="gpu_memory")
    assert len(str(caught.value)) < 250


def test_zero_where_allowed() -> None:
    assert parse_bytes(0, allow_zero=True) == 0


@given(st.integers(1, 2**60))
def test_bytes_are_read_back_exactly(size: int) -> None:
    assert parse_bytes(str(size)) == parse_bytes(f"{size}B") == parse_bytes(size) == size


def test_sizes_are_written_for_people() -> None:
    assert format_bytes(1536) == "1,536 B"
    assert format_bytes(80 * 1024**3) == "80.00 GiB"
