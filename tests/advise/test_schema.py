"""The documented schema is the one in force."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from kvsteady import System, Workload, check
from kvsteady.advise import SCHEMA_VERSION, Analysis, Tuning, TuningOutcome
from kvsteady.advise.analysis import json_schema
from kvsteady.advise.tuning.record import TUNING_SCHEMA_VERSION, tuning_schema
from kvsteady.saved import Record

DOCS = Path(__file__).parents[2] / "docs/reference"


def test_the_schemas_in_the_docs_are_up_to_date() -> None:
    # scripts/make_schema.py writes them.
    assert json.loads((DOCS / "check.schema.json").read_text("utf-8")) == json_schema()
    assert json.loads((DOCS / "tune.schema.json").read_text("utf-8")) == tuning_schema()


def test_what_check_prints_has_the_documented_types() -> None:
    # A second reader of the schema than the one that wrote it.
    schema = json.loads((DOCS / "check.schema.json").read_text("utf-8"))
    printed = json.loads(check(System(Workload.fixed(2, 2), 140)).to_json())
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(printed)) == []
    assert list(validator.iter_errors({**printed, "gcd": "two"})) != []


@pytest.mark.parametrize(
    ("name", "record", "version"),
    [("check", Analysis, SCHEMA_VERSION), ("tune", Tuning, TUNING_SCHEMA_VERSION)],
)
def test_every_field_is_described(name: str, record: type[Record], version: int) -> None:
    page = (DOCS / f"{name}.md").read_text("utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    assert described == set(record.__struct_fields__)
    assert f"schema version is {version}" in page


def test_every_outcome_is_explained() -> None:
    page = (DOCS / "tune.md").read_text("utf-8")
    _, _, section = page.partition("## Outcomes")
    section, _, _ = section.partition("##")
    labels = re.findall(r"^\| ([a-z-]+) \|", section, flags=re.MULTILINE)[1:]  # below the head
    assert labels == [outcome.label for outcome in TuningOutcome]
