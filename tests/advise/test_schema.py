"""The documented schema is the one in force."""

import json
import re
from pathlib import Path

import jsonschema

from kvsteady import System, Workload, check
from kvsteady.advise import SCHEMA_VERSION, Analysis
from kvsteady.advise.analysis import json_schema

DOCS = Path(__file__).parents[2] / "docs/reference"


def test_the_schema_in_the_docs_is_up_to_date() -> None:
    # scripts/make_schema.py writes it.
    assert json.loads((DOCS / "check.schema.json").read_text("utf-8")) == json_schema()


def test_what_check_prints_has_the_documented_types() -> None:
    # A second reader of the schema than the one that wrote it.
    schema = json.loads((DOCS / "check.schema.json").read_text("utf-8"))
    printed = json.loads(check(System(Workload.fixed(2, 2), 140)).to_json())
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(printed)) == []
    assert list(validator.iter_errors({**printed, "gcd": "two"})) != []


def test_every_field_is_described() -> None:
    page = (DOCS / "check.md").read_text("utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    assert described == set(Analysis.__struct_fields__)
    assert f"schema version is {SCHEMA_VERSION}" in page
