"""Keys as they are kept until they are stored: one per line, ready to be an element of an array in a COPY."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.uploads.keys import ClientKey, KeyForm, KeyRefused
from shared.uploads.refusals import MOST_FAULTS, LineFault, UploadRefused

BLANKS = " \t"  # around a key and in blank lines: these and no other white space
RECORDS_A_STEP = 250  # of those that are looked at one by one: a few milliseconds
_HIGHEST = {"bigint": 2**63 - 1, "integer": 2**31 - 1, "smallint": 2**15 - 1}
_MOST_DIGITS = 40  # with zeros before them: int() of a long text is slow


@dataclass(frozen=True, slots=True)
class KeyLines:
    """The keys of some records, in order."""

    lines: bytes  # each ends with \n
    count: int
    blank_lines: int = 0
    spelled: dict[int, object] = field(default_factory=dict)  # by row of these keys: what is not the natural form
    given: bytes = b""  # the features of the records likewise, of an upload of features; `lines` may be empty then


def highest_integer(form: KeyForm) -> int:
    """The highest key where keys are whole numbers in one column; 0 where they are not."""
    return _HIGHEST.get(form.columns[0].type, 0) if len(form.columns) == 1 else 0


def are_plain(lines: bytes, highest: int) -> bool:
    """Whether these lines, each with its end, are whole numbers surely not above `highest`, and nothing else at all."""
    if lines.translate(None, b"0123456789\n"):
        return False
    if lines.startswith((b"\n", b"0")) or b"\n\n" in lines or b"\n0" in lines:
        return False
    return len(max(lines.split(b"\n"), key=len)) < len(str(highest))


def integer_lines(lines: bytes, highest: int) -> KeyLines | None:
    """Lines that are whole numbers from 1, blanks, zeros and blank lines allowed for; None for others."""
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n")
    if are_plain(lines, highest):
        return KeyLines(lines, lines.count(b"\n"))
    if lines.translate(None, b"0123456789\n \t"):
        return None
    ends = lines.count(b"\n")
    while b"\n\n" in lines:  # a block of empty lines alone has 65,536 of them
        lines = lines.replace(b"\n\n", b"\n")
    cut = lines.split(b"\n")
    texts = list(filter(None, [line.strip(b" \t") for line in cut]))
    blank_lines = ends - len(texts)
    trimmed = b"\n".join([*texts, b""])
    if are_plain(trimmed, highest):
        return KeyLines(trimmed, len(texts), blank_lines)
    return _numbers(texts, highest, blank_lines)


def _numbers(texts: list[bytes], highest: int, blank_lines: int) -> KeyLines | None:
    if not texts:
        return KeyLines(b"", 0, blank_lines)
    if not all(map(bytes.isdigit, texts)) or len(max(texts, key=len)) > _MOST_DIGITS:
        return None
    values = list(map(int, texts))
    if min(values) < 1 or max(values) > highest:
        return None
    canonical = [b"%d" % value for value in values]
    spelled: dict[int, object] = {}
    if sum(map(len, canonical)) != sum(map(len, texts)):
        pairs = enumerate(zip(texts, canonical, strict=True))
        spelled = {row: text.decode() for row, (text, number) in pairs if text != number}
    return KeyLines(b"\n".join([*canonical, b""]), len(values), blank_lines, spelled)


class KeyCollector:
    """The keys of records that are looked at one by one, or what is wrong with the first of them."""

    def __init__(self, storage: str) -> None:
        self._is_text = storage == "text"
        self._faults: list[LineFault] = []
        self._elements: list[str] = []
        self._spelled: dict[int, object] = {}
        self._blank_lines = 0

    def blank(self) -> None:
        """A blank line."""
        self._blank_lines += 1

    def take(self, line: int, parse: Callable[[Any], ClientKey], value: object) -> None:
        """The key that `parse` makes of a value. Raises UploadRefused when there are faults enough."""
        try:
            key = parse(value)
        except KeyRefused as refused:
            self.refuse(line, f"client_id {refused.detail}")
            return
        if key.spelled is not None:
            self._spelled[len(self._elements)] = key.spelled
        self._elements.append(array_element(key.canonical) if self._is_text else key.canonical)

    def refuse(self, line: int, detail: str, code: str = "invalid_client_id") -> None:
        """A record that is none, or has no key. Raises UploadRefused when there are faults enough."""
        self._faults.append(LineFault(line, code, detail))
        if len(self._faults) == MOST_FAULTS:
            raise UploadRefused(self._faults)

    @property
    def has_faults(self) -> bool:
        """Whether a record was refused."""
        return bool(self._faults)

    def check(self) -> None:
        """Raise UploadRefused where a record was refused."""
        if self._faults:
            raise UploadRefused(self._faults)

    def part(self) -> KeyLines:
        """The keys since the last part; none after a refusal."""
        lines = b"" if self._faults else "".join([f"{element}\n" for element in self._elements]).encode()
        found = KeyLines(lines, 0 if self._faults else len(self._elements), self._blank_lines, self._spelled)
        self._elements, self._spelled, self._blank_lines = [], {}, 0
        return found

    def last_part(self) -> KeyLines:
        """The same at the end. Raises UploadRefused where a record was refused."""
        self.check()
        return self.part()


def array_element(text: str) -> str:
    r"""A text as an element of an array literal in a line of COPY's text format.

    The array's own escapes come first, COPY's over them. No line end is left in it: `a"b` is `"a\\"b"`.
    """
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    escaped = quoted.replace("\\", "\\\\")
    return escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
