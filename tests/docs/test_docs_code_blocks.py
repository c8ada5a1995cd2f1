"""The ``python`` blocks of the docs run, and say what their comments say.

The README's are in test_readme.py; the code cells of the background chapter run when the site is
built.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
# What the readers' own files hold, as far as the examples need it.
LLAMA_70B = {
    "model_type": "llama",
    "num_hidden_layers": 80,
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "intermediate_size": 28672,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}
FILES = {
    "Llama-3.1-70B/config.json": json.dumps(LLAMA_70B),
    "AzureLLMInferenceTrace_conv.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n",
    "mine.csv": "in,out,t\n12,3,0\n40,9,250\n",
}

# Run against the engine instead: tests/engines.
OF_ENGINES = {DOCS / "guides" / f"{name}.md" for name in ("vllm", "transformers")}


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    built = {DOCS / "_build", DOCS / "api"}
    every = (page for page in sorted(DOCS.rglob("*.md")) if not built & set(page.parents))
    return [page for page in every if blocks(page) and page not in OF_ENGINES]


def claims(block: str) -> Iterator[tuple[ast.stmt, str]]:
    """Each statement with the comment on its last line."""
    lines = block.splitlines()
    for statement in ast.parse(block).body:
        assert statement.end_lineno is not None
        _, _, comment = lines[statement.end_lineno - 1].partition("  # ")
        yield statement, comment.strip()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        for statement, comment in claims(block):
            if not isinstance(statement, ast.Expr):
                exec(compile(ast.Module([statement], []), page.name, "exec"), known)
                continue
            value = eval(compile(ast.Expression(statement.value), page.name, "eval"), known)
            if isinstance(value, str) and comment:
                assert value == comment
            elif re.fullmatch(r"[\d,]+(\.\d+)?", comment):
                assert value == pytest.approx(float(comment.replace(",", "")), rel=1e-3)


def test_there_are_blocks_and_claims_to_check() -> None:
    assert {page.name for page in pages()} >= {"memory.md", "traces.md"}
    said = [comment for page in pages() for block in blocks(page) for _, comment in claims(block)]
    assert {"azure", "327,680"} <= set(said)
