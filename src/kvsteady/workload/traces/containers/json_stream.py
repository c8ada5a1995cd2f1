"""A JSON document taken apart without holding it: its items come one at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Generator, Iterator
from typing import NoReturn

from kvsteady.errors import InputError
from kvsteady.workload.traces.source import Source

# Characters that one item may have; what is longer is no request.
MAX_ITEM = 64 * 2**20
_SPACE = " \t\r\n"
_SUCCESSORS = (",", "]", "}", ":")


def items(source: Source) -> Generator[tuple[str | None, object, int], None, None]:
    """Items of the list, or of the object's lists, that the document is.

    Yields
    ------
    key, item, line
        The key is None in a list. A value of an object that is not a list counts as one item.

    Raises
    ------
    InputError
        It is not JSON, or is neither a list nor an object.
    """
    text = _Text(source)
    opening = text.next()
    if opening == "[":
        for item, line in _list(text):
            yield None, item, line
    elif opening == "{":
        yield from _members(text)
    else:
        text.broken("neither a list nor an object")
    if text.next():
        text.broken("more text after the end of the document; one document a file is read")


def _list(text: _Text) -> Iterator[tuple[object, int]]:
    text.take("[")
    while text.next() != "]":
        line = text.line
        yield text.value(), line
        if text.next() != ",":
            break
        text.take(",")
        if text.next() == "]":
            text.broken("a comma before the end of the list")
    text.take("]")


def _members(text: _Text) -> Iterator[tuple[str, object, int]]:
    text.take("{")
    while text.next() != "}":
        if text.next() != '"':
            text.broken("a key in quotes is expected")
        key = str(text.value())
        text.take(":")
        if text.next() == "[":
            for item, line in _list(text):
                yield key, item, line
        else:
            line = text.line
            yield key, text.value(), line
        if text.next() != ",":
            break
        text.take(",")
        if text.next() == "}":
            text.broken("a comma before the end of the object")
    text.take("}")


class _Text:
    """A window that slides over the characters of a document."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunks = source.chunks()
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._parse = json.JSONDecoder(parse_constant=_no_number).raw_decode
        self._window = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def next(self) -> str:
        """Look at the next character that is no space, not taken yet; empty at the end."""
        while True:
            while self._at < len(self._window):
                character = self._window[self._at]
                if character not in _SPACE:
                    return character
                self.line += character == "\n"
                self._at += 1
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Go past the next character, which has to be this one."""
        found = self.next()
        if found != character:
            self.broken(f"{found!r} where {character!r} is expected" if found else "the text ends")
        self._at += 1

    def value(self) -> object:
        """Take the next value."""
        self.next()
        while True:
            try:
                value, end = self._parse(self._window, self._at)
            except RecursionError:
                self.broken("nested too deeply")
            except ValueError as error:
                # Perhaps only cut off by the end of the window.
                if not self._more():
                    self.broken(getattr(error, "msg", str(error)))
            else:
                after = end
                while after < len(self._window) and self._window[after] in _SPACE:
                    after += 1
                # 12 could go on as 123, so a value ends where its successor is seen.
                if self._window[after : after + 1] in _SUCCESSORS or not self._more():
                    break
        self.line += self._window.count("\n", self._at, end)
        self._at = end
        return value

    def broken(self, problem: str) -> NoReturn:
        raise InputError(f"broken JSON: {problem}", file=self._source.path, line=self.line)

    def _more(self) -> bool:
        """Lengthen the window, at least twofold so that retries stay linear; False at the end."""
        rest = self._window[self._at :]
        if len(rest) > MAX_ITEM:
            self.broken(f"an item of more than {MAX_ITEM // 2**20} Mi characters")
        parts, gained = [rest], 0
        while not self._ended and gained <= len(rest):
            chunk = next(self._chunks, b"")
            self._ended = not chunk
            parts.append(self._decode(chunk, final=self._ended))
            gained += len(parts[-1])
            self._source.report()
        if gained:
            self._window, self._at = "".join(parts), 0
        return gained > 0


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
