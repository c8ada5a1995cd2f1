"""Where in a run file an error stands: its field as a path, with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from kvsteady.errors import InputError

# Names in an error of what the file says under another name, or in a part around it.
_AROUND = {
    "block_size": "engine",
    "page_size": "engine",
    "max_num_seqs": "engine",
    "key_tokens": "load",
    "kv_tokens": "memory",
    "completed": "stop",
}


@dataclass(frozen=True)
class Places:
    """The lines of a run file, by paths such as ``$.load.rate``."""

    file: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def located(self, error: InputError) -> InputError:
        """The error with this file, and the path and the line of its field as far as it is there.

        One that names a file already stays as it is.
        """
        if error.file is not None:
            return error
        path = self._path(error.field)
        return InputError(
            error.problem,
            file=self.file,
            line=error.line if path is None else self.line(f"$.{path}"),
            field=path or error.field,
            allowed=error.allowed,
        )

    def line(self, path: str) -> int | None:
        """The line of a path, or of the nearest part around it."""
        while path and path not in self.lines:
            path = re.sub(r"(\.[^.\[\]]*|\[[^\]]*\])\Z", "", path) if path != "$" else ""
        return self.lines.get(path)

    def _path(self, name: str | None) -> str | None:
        """The path of a field that the code below the file calls by its last name only."""
        if name is None:
            return None
        if re.split(r"[.\[]", name)[0] in self._top:
            return name
        ends = [path for path in self.lines if path.endswith(f".{name}")]
        if ends:
            return min(ends, key=len).removeprefix("$.")
        around = _AROUND.get(name)
        return around if around in self._top else None

    @property
    def _top(self) -> set[str]:
        return {re.split(r"[.\[]", path)[1] for path in self.lines if path != "$"}


@contextmanager
def located(places: Places | None) -> Iterator[None]:
    """Errors of the body say where they stand, if that is known."""
    try:
        yield
    except InputError as error:
        if places is None:
            raise
        raise places.located(error) from None


@contextmanager
def within(path: str, names: Mapping[str, str] | None = None) -> Iterator[None]:
    """Errors of the body name their field by its path in a run file.

    Parameters
    ----------
    path
        Of the part that the body reads.
    names
        What the file calls fields that the body names otherwise; ``/name`` is no part of ``path``.
    """
    try:
        yield
    except InputError as error:
        if error.file is not None:  # of another file
            raise
        name = error.field or ""
        name = (names or {}).get(name, name)
        raise error.but(field=_joined(path, name)) from None


def _joined(path: str, name: str) -> str:
    if name.startswith("/"):
        return name[1:]
    if name == path or name.startswith((f"{path}.", f"{path}[")):
        return name
    # Parts are often named by themselves: time.model within replicas[0].time.
    last = path.rpartition(".")[2]
    if name == last or name.startswith(f"{last}."):
        name = name[len(last) + 1 :]
    return f"{path}.{name}" if name else path
