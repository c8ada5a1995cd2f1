"""What is said while work has not begun to report how far it is."""

from __future__ import annotations

from threading import Timer
from types import TracebackType

from rich.console import Console
from rich.status import Status

from kvsteady.progress import Progress

_PATIENCE = 1.0  # seconds


class Waiting:
    """A `Progress` that shows ``words`` after a second, until the first report goes through it.

    Silent where nobody looks at standard error.
    """

    def __init__(self, words: str, console: Console, progress: Progress) -> None:
        self._progress = progress
        self._status = Status(words, console=console)
        self._timer = Timer(_PATIENCE, self._status.start)
        self._timer.daemon = True
        self._watched = console.is_terminal

    def __call__(self, done: int, total: int | None) -> None:
        """Pass a report on."""
        self._stop()
        self._progress(done, total)

    def __enter__(self) -> Waiting:
        if self._watched:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._watched:
            self._watched = False
            self._timer.cancel()
            self._timer.join()
            self._status.stop()
