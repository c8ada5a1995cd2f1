"""The file behind a trace: opened, unpacked and checked to be text, chunk by chunk."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from kvsteady.errors import InputError
from kvsteady.progress import Progress, silent

CHUNK = 4 * 2**20
# A longer line is no request; it is a file without line ends, which must not fill the memory.
MAX_LINE = 64 * 2**20
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"


class Doubt(Exception):  # noqa: N818 - no error yet: the plain reader decides
    """A fast path met something it does not vouch for; the file is read again plainly."""


@dataclass(frozen=True)
class Source:
    """One file to read, and how.

    Attributes
    ----------
    path
        The file, or the folder of a recorded run.
    progress
        Told the bytes read so far, compressed ones for gzip, and the bytes there are.
    plain
        True on the second reading, in which every cell is looked at in Python.
    """

    path: Path
    progress: Progress = silent
    plain: bool = False
    _done: list[int] = field(default_factory=lambda: [0], repr=False)

    def at(self, path: Path) -> Source:
        """Give the same reading of another file."""
        return replace(self, path=path)

    def plainly(self) -> Source:
        """Give the same file, to be read cell by cell."""
        return replace(self, plain=True, _done=[0])

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self.failures():
            return self.path.stat().st_size

    def reached(self, share: float) -> None:
        """Note how much of the file has been read, where `chunks` does not read it."""
        self._done[0] = int(self.size * share)

    def report(self) -> None:
        """Tell the progress how far the reading is."""
        self.progress(self._done[0], self.size)

    def magic(self) -> bytes:
        """Read the first four bytes on disk."""
        with self.failures():
            if not self.path.is_file():
                raise InputError(
                    "not a regular file, which must be read twice"
                    if self.path.exists()
                    else "no such file",
                    file=self.path,
                )
            with self.path.open("rb") as raw:
                return raw.read(4)

    def chunks(self) -> Generator[bytes, None, None]:
        """Read the text, unpacked, in UTF-8 without byte-order mark, about 4 MiB a time.

        Raises
        ------
        InputError
            The file cannot be read, its gzip stream is damaged, or it is not UTF-8 text.
        """
        check = codecs.getincrementaldecoder("utf-8")()
        line, first = 1, True
        packed = self.magic().startswith(GZIP_MAGIC)
        with self.failures(), self.path.open("rb") as raw:
            stream: gzip.GzipFile | BinaryIO = gzip.GzipFile(fileobj=raw) if packed else raw
            while True:
                chunk = stream.read(CHUNK)
                self._done[0] = raw.tell()
                try:
                    check.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    line += bytes(error.object[: error.start]).count(b"\n")
                    raise self._not_text(line) from None
                if b"\0" in chunk:
                    line += chunk[: chunk.index(b"\0")].count(b"\n")
                    raise self._not_text(line)
                if not chunk:
                    return
                line += chunk.count(b"\n")
                yield chunk.removeprefix(codecs.BOM_UTF8) if first else chunk
                first = False

    def blocks(self) -> Generator[bytes, None, None]:
        """Read the same text cut after line ends: every block holds whole lines."""
        rest, lines = b"", 0
        for chunk in self.chunks():
            cut = chunk.rfind(b"\n") + 1
            if cut:
                block = rest + chunk[:cut]
                lines += block.count(b"\n")
                yield block
                rest = chunk[cut:]
            else:
                rest += chunk
            if len(rest) > MAX_LINE:
                raise InputError(
                    "the line does not end",
                    file=self.path,
                    line=lines + 1,
                    allowed=f"lines up to {MAX_LINE // 2**20} MiB",
                )
        if rest:
            yield rest

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what the system says of this file into an `InputError`."""
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"the gzip stream is damaged: {error}", file=self.path) from None
        except OSError as error:
            raise InputError(error.strerror or str(error), file=self.path) from None
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            # A path that no system takes, such as one with a NUL in it.
            raise InputError(f"unusable path: {error}", file=self.path) from None

    def _not_text(self, line: int) -> InputError:
        return InputError(
            "not UTF-8 text",
            file=self.path,
            line=line,
            allowed="CSV, JSON or JSONL in UTF-8, gzipped or not, or Parquet",
        )
