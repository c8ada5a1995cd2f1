"""Write docs/reference/check.schema.json, the JSON Schema of what ``kvsteady check --json`` prints.

python scripts/make_schema.py
"""

from __future__ import annotations

import json
from pathlib import Path

from kvsteady.advise.analysis import json_schema

SCHEMA = Path(__file__).parent.parent / "docs/reference/check.schema.json"


def schema() -> str:
    """The schema as it must stand in the docs."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
