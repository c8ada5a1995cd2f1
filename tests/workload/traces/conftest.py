from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("KVSTEADY_SHARED", root.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no recorded traces at {folder}: set KVSTEADY_SHARED")
    return folder


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "trace", *, packed: bool = False) -> Path:
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if packed else data)
        return path

    return write
