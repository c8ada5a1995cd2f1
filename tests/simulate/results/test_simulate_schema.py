"""The documented schema is the one in force, and every field is described."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
from by_hand import Listed, scenario

from kvsteady.simulate.records import ITERATION, LEFT
from kvsteady.simulate.results.simulation import SCHEMA_VERSION, Simulation, json_schema
from kvsteady.simulate.results.tables import iteration_columns, request_columns
from kvsteady.simulate.runfile import RunFile
from kvsteady.simulate.simulate import simulate

DOCS = Path(__file__).parents[3] / "docs" / "reference"
PAGE = (DOCS / "simulate.md").read_text("utf-8")


def test_the_schema_in_the_docs_is_up_to_date() -> None:
    assert json.loads((DOCS / "simulate.schema.json").read_text("utf-8")) == json_schema()


def test_what_simulate_prints_has_the_documented_types() -> None:
    # A second reader of the schema than the one that wrote it.
    validator = jsonschema.Draft202012Validator(json_schema())
    for load in (Listed({"prompt": 4, "output": 3}), Listed({"prompt": 4000, "output": 3})):
        printed = json.loads(simulate(scenario(load)).to_json())
        assert list(validator.iter_errors(printed)) == []
    assert list(validator.iter_errors({**printed, "completed": "two"})) != []


def test_every_field_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    assert described == {*Simulation.__struct_fields__, *RunFile.__struct_fields__}
    assert f"schema version is {SCHEMA_VERSION}" in PAGE


def test_every_column_is_described() -> None:
    columns = {
        *request_columns(np.zeros(1, LEFT), 0),
        *iteration_columns(np.zeros(1, ITERATION), 0, 1),
    }
    assert {name for name in columns if f"`{name}`" not in PAGE} == set()
