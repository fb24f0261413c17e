"""Reading and writing JSON of megabytes in steps, so that an event loop can turn to others in between."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Any

import orjson

from shared.json_text.members import MemberTwiceError, refuse_twice

STEP_BYTES = 32_768  # of a text that are read at a time
MOST_MEMBERS = 10_000  # of one object: more features than any table has columns
_LONGEST_TEXT, _LONGEST_NUMBER = 1_000_000, 1000  # bytes of one
_AT_ONCE = 500  # items of a list that are written at a time
_SINGLY = 64  # items that are looked at one by one where no cut of a step was good
_DEEPEST = 8  # for values that are larger than a step
# What things cost, in bytes of those that are read quickly.
_COST_OF_ITEM, _COST_OF_CUT = 300, STEP_BYTES // 4

_INSIDE = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)  # of a text
_SCALAR = re.compile(rb"[^\s,\]}\"\[{:]+")
_BLANKS = b" \t\r\n"
_CLOSES, _WHOLE = {b"[": b"]", b"{": b"}"}, {b"[": b"[%b]", b"{": b"{%b}"}
_COMMAS = (b",", b'",', b"},", b"],")  # the last of each may be one between two items

Steps = Generator[None, None, Any]


class NotJsonError(Exception):
    """A text is no JSON, or is nested too deeply; why."""


class TooMuchJsonError(Exception):
    """A text holds more than anybody may ask for at a time; of what."""


class NulInTextError(Exception):
    """A text in it holds the character NUL, which no table does."""


def read_steps(content: bytes, *, most_items: int) -> Steps:
    """Read a JSON text whose lists have `most_items` at most; the generator returns its value.

    Runs of items are cut out at a comma and read at C speed, one run at each step. A cut inside a text, a list or an
    object cannot be read by itself, so a run that can is one of whole items. Raises NotJsonError, TooMuchJsonError,
    NulInTextError or MemberTwiceError.
    """
    # Each costs the garbage collector a visit, now and then all of them at a time.
    if content.count(b"[") + content.count(b"{") > 2 * most_items:
        raise TooMuchJsonError(f"more than {2 * most_items:,} lists and objects")
    reader = _Reader(content, most_items)
    value = yield from reader.value(0)
    if reader.skip() != len(content):
        raise NotJsonError(f"unexpected bytes after the value, at {reader.at}")
    return value


class _Reader:
    """Where in the text one is, and what was done since the last step."""

    def __init__(self, content: bytes, most_items: int) -> None:
        self._content = content
        self._most_items = most_items
        self._done = 0
        self.at = 0

    def skip(self) -> int:
        """Go on to what is not blank."""
        size = 64
        while True:
            window = self._content[self.at : self.at + size]
            left = len(window.lstrip(_BLANKS))
            self.at += len(window) - left
            if left or not window:
                return self.at
            if size == STEP_BYTES:
                raise NotJsonError(f"more than {STEP_BYTES:,} blanks in a row, at {self.at}")
            size = STEP_BYTES

    def value(self, depth: int) -> Steps:
        """The value that begins here."""
        begins = self._peek()
        if begins == b'"':
            return (yield from self._text())
        if begins not in _CLOSES:
            return self._scalar()
        if depth > _DEEPEST:
            raise NotJsonError(f"a value of more than {STEP_BYTES:,} bytes is nested too deeply")
        self.at += 1
        value: Any = [] if begins == b"[" else {}
        yield from self._items(begins, value, depth)
        return value

    def _items(self, begins: bytes, into: Any, depth: int) -> Steps:
        closes = _CLOSES[begins]
        if self._peek() == closes:
            self.at += 1
            return
        singly = 0
        while True:
            if self._done >= STEP_BYTES:
                yield
                self._done = 0
            run = None if singly else self._run(begins)
            if run:
                self._add(into, run)
                continue
            singly = singly - 1 if singly else _SINGLY
            yield from self._one(into, depth)
            after = self._peek()
            self.at += 1
            if after == closes:
                return
            if after != b",":
                raise NotJsonError(f"a comma or {closes.decode()} is missing at {self.at - 1}")

    def _run(self, begins: bytes) -> Any:
        """As many whole items as end with a comma within a step; None or nothing where none is found."""
        end = min(len(self._content), self.at + STEP_BYTES)
        for cut in sorted({self._content.rfind(mark, self.at, end) + len(mark) - 1 for mark in _COMMAS}, reverse=True):
            if cut <= self.at:
                continue
            text = _WHOLE[begins] % self._content[self.at : cut]
            self._done += _COST_OF_CUT
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            _check(text, value)
            self._done += len(text)
            self.at = cut + 1 if value else self.at
            return value
        return None

    def _one(self, into: Any, depth: int) -> Steps:
        self._done += _COST_OF_ITEM
        if type(into) is list:
            self._add(into, [(yield from self.value(depth + 1))])
            return
        name = (yield from self._text()) if self._peek() == b'"' else None
        if name is None or self._peek() != b":":
            raise NotJsonError(f"a name and a colon are missing at {self.at}")
        self.at += 1
        self._add(into, {name: (yield from self.value(depth + 1))})

    def _add(self, into: Any, items: Any) -> None:
        if type(into) is list:
            into += items
            if len(into) > self._most_items:
                raise TooMuchJsonError(f"a list of more than {self._most_items:,}")
            return
        if not into.keys().isdisjoint(items):
            raise MemberTwiceError(next(name for name in items if name in into))
        into.update(items)
        if len(into) > MOST_MEMBERS:
            raise TooMuchJsonError(f"an object of more than {MOST_MEMBERS:,} members")

    def _peek(self) -> bytes:
        return self._content[self.skip() : self.at + 1]

    def _text(self) -> Steps:
        start = end = self.at
        end += 1
        while True:
            found = _INSIDE.match(self._content, end, end + STEP_BYTES)
            if found is None or found.end() == end or end - start > _LONGEST_TEXT:
                break
            self._done += found.end() - end
            end = found.end()
            if self._done >= STEP_BYTES:
                yield
                self._done = 0
        if self._content[end : end + 1] != b'"':
            long = f"is longer than {_LONGEST_TEXT:,} bytes, or" if end - start > _LONGEST_TEXT else ""
            raise NotJsonError(f"the text that begins at {start} {long} does not end")
        self.at = end + 1
        return self._read(start)

    def _scalar(self) -> Any:
        found = _SCALAR.match(self._content, self.at, self.at + _LONGEST_NUMBER)
        if found is None:
            raise NotJsonError(f"a value is missing at {self.at}")
        self.at = found.end()
        return self._read(found.start())

    def _read(self, start: int) -> Any:
        text = self._content[start : self.at]
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise NotJsonError(f"{error}, at {start}") from None
        if b"\\u0000" in text and _holds_nul(value):
            raise NulInTextError
        return value


def _check(text: bytes, value: object) -> None:
    try:
        refuse_twice(text, value)
    except RecursionError:
        raise NotJsonError("it is nested too deeply") from None
    if b"\\u0000" in text and _holds_nul(value):
        raise NulInTextError


def _holds_nul(value: object) -> bool:
    if type(value) is str:
        return "\0" in value
    if type(value) is dict:
        return any(map(_holds_nul, (*value, *value.values())))
    return type(value) is list and any(map(_holds_nul, value))


def canonical_pieces(value: object) -> Iterator[bytes]:
    """A value as JSON with sorted names, in pieces that together are what orjson writes at once."""
    if type(value) is list and len(value) > _AT_ONCE:
        for start in range(0, len(value), _AT_ONCE):
            part = orjson.dumps(value[start : start + _AT_ONCE], option=orjson.OPT_SORT_KEYS)[1:-1]
            yield (b"," if start else b"[") + part
        yield b"]"
    elif type(value) is dict and value:
        names = sorted(value)
        for number, name in enumerate(names):
            yield (b"," if number else b"{") + orjson.dumps(name) + b":"
            yield from canonical_pieces(value[name])
        yield b"}"
    else:
        yield orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
