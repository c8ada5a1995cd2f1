"""The command line: parse, call, exit code; no logic."""

from kvsteady.cli.app import main

__all__ = ["main"]
