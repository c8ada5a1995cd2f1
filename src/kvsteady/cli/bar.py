"""A progress bar for work that turns out to take a while."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import TaskID

_PATIENCE = 1.0  # seconds after which a person wants to see that something happens


class Bar:
    """A `kvsteady.progress.Progress` on standard error; silent where nobody looks at it."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._began = time.monotonic()
        self._shown: RichProgress | None = None
        self._task = TaskID(0)

    def __call__(self, done: int, total: int | None) -> None:
        """Show or move the bar."""
        if self._shown is None:
            if not self._console.is_terminal or time.monotonic() - self._began < _PATIENCE:
                return
            self._shown = RichProgress(console=self._console, transient=True)
            self._shown.start()
            self._task = self._shown.add_task(self._title, total=total)
        self._shown.update(self._task, completed=done, total=total)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown is not None:
            self._shown.stop()
