"""Write docs/reference/{check,tune}.schema.json, the JSON Schemas of what ``kvsteady check --json``
and ``kvsteady tune --json`` print.

python scripts/make_schema.py
"""

from __future__ import annotations

import json
from pathlib import Path

from kvsteady.advise.analysis import json_schema
from kvsteady.advise.tuning.record import tuning_schema

REFERENCE = Path(__file__).parent.parent / "docs/reference"
SCHEMAS = {"check": json_schema, "tune": tuning_schema}


if __name__ == "__main__":
    for name, schema in SCHEMAS.items():
        text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
        (REFERENCE / f"{name}.schema.json").write_text(text, encoding="utf-8")
