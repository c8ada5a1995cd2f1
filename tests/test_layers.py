"""Imports run one way: a package may use those before it, never those after it."""

import ast
from pathlib import Path

import pytest

import kvsteady

HOME = Path(kvsteady.__file__).parent
FOUNDATION = ("arrays", "errors", "extras", "files", "kernels", "progress", "saved")
ORDER = (
    *FOUNDATION,
    "workload",
    "memory",
    "admission",
    "model",
    "theory",
    "policies",
    "simulate",
    "sweep",
    "league",
    "advise",
    "reproduce",
    "plugins",
    "watch",
    "report",
    "cli",
    "__main__",
)
# The front door: it imports every package, on first use.
FRONT = "__init__"


def rooms_imported(source: str) -> set[str]:
    """Top-level parts of kvsteady that a module imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their direction"
            names = [node.module]
            if node.module == "kvsteady":
                names = [f"kvsteady.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("kvsteady.")}
    return found - {"__version__"}


def backward(room: str, source: str) -> set[str]:
    return {name for name in rooms_imported(source) if ORDER.index(name) > ORDER.index(room)}


def modules() -> list[Path]:
    return sorted(path for path in HOME.rglob("*.py") if path != HOME / "__init__.py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(HOME)))
def test_imports_point_towards_the_data(path: Path) -> None:
    room = path.relative_to(HOME).parts[0].removesuffix(".py")
    assert room in ORDER, f"{room} has no place in the order of packages"
    assert not backward(room, path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("theory", "from kvsteady.advise import check"),
        ("workload", "import kvsteady.cli.app"),
        ("model", "def late():\n    from kvsteady.policies import Greedy"),
    ],
)
def test_an_import_against_the_order_is_caught(room: str, source: str) -> None:
    assert backward(room, source)


def test_the_package_itself_is_light_to_import() -> None:
    import subprocess
    import sys

    heavy = ("numba", "numpy", "pyarrow", "plotly")
    code = f"import sys, kvsteady; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_simulate_is_a_function_and_a_package_whatever_is_imported_first() -> None:
    import subprocess
    import sys

    orders = (
        "import kvsteady as kv; first = kv.simulate; import kvsteady.simulate.loads",
        "import kvsteady.simulate.loads; import kvsteady as kv; first = kv.simulate",
        "from kvsteady import simulate as first; import kvsteady as kv; kv.simulate.loads",
    )
    for order in orders:
        code = f"{order}; from kvsteady import simulate\nassert first is simulate is kv.simulate\n"
        code += "assert callable(first) and first.Scenario is kv.Scenario"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    for name in kvsteady.__all__:
        assert getattr(kvsteady, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kvsteady.nothing
