"""The command line: parse, call, exit code; no logic."""

from __future__ import annotations

import os
import sys
import traceback

BAD_INPUT, INTERNAL, INTERRUPTED = 2, 70, 130
# What was typed may be long; its error must stay a line.
_LONGEST = 400


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done, 1 the verdict or outcome is what --fail-on names, 2 bad input or a file
    that cannot be written, 70 a fault of kvsteady itself, 130 interrupted.
    """
    try:
        # Imported here, so that an early Ctrl-C ends like a late one.
        from cyclopts import CycloptsError

        from kvsteady.cli.app import run
        from kvsteady.errors import KvsteadyError

        try:
            code = run(arguments)
            sys.stdout.flush()
        except (CycloptsError, KvsteadyError) as error:
            code = _complain(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("kvsteady: interrupted\n")
        code = INTERRUPTED
    except BrokenPipeError:
        drop_output()  # whoever read it has gone, which is no error
        code = 0
    except OSError as error:
        drop_output()
        code = _complain(str(error))
    except Exception:
        traceback.print_exc()
        code = INTERNAL
    raise SystemExit(code)


def _complain(problem: str) -> int:
    sentence = " ".join(problem.split())
    if len(sentence) > _LONGEST:
        sentence = f"{sentence[:_LONGEST]}…"
    sys.stderr.write(f"kvsteady: error: {sentence}\n")
    return BAD_INPUT


def drop_output() -> None:
    """Keep Python from writing the rest of standard output again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["main"]
