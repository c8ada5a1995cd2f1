"""Standard output of a command whose reader may leave early."""

from __future__ import annotations

from rich.console import Console

from kvsteady.cli import drop_output


class Output(Console):
    """A console for standard output; when its reader has gone, the rest is dropped.

    Rich would end the command with exit code 1 there, which means something else here.
    """

    def on_broken_pipe(self) -> None:
        """Write no more, and let the command finish with its own exit code."""
        self.quiet = True
        drop_output()
