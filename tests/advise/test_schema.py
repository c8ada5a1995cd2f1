"""The documented schema is the one in force."""

import json
import re
from pathlib import Path

import msgspec

from kvsteady.advise import SCHEMA_VERSION, Analysis

DOCS = Path(__file__).parents[2] / "docs/reference"


def test_the_schema_in_the_docs_is_up_to_date() -> None:
    # scripts/make_schema.py writes it.
    assert json.loads((DOCS / "check.schema.json").read_text("utf-8")) == msgspec.json.schema(
        Analysis
    )


def test_every_field_is_described() -> None:
    page = (DOCS / "check.md").read_text("utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    assert described == set(Analysis.__struct_fields__)
    assert f"schema version is {SCHEMA_VERSION}" in page
