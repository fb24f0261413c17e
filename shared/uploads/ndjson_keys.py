"""The client keys in NDJSON: on each line a key, or an object that has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import orjson

from shared.json_text.members import MemberTwiceError, are_all_counted, refuse_twice
from shared.uploads.blocks import BLOCK_BYTES
from shared.uploads.csv_records import COMPRESSED, IS_COMPRESSED
from shared.uploads.headings import CLIENT_ID, key_names
from shared.uploads.key_lines import RECORDS_A_STEP, KeyCollector, KeyLines, are_plain, highest_integer
from shared.uploads.keys import KeyForm
from shared.uploads.refusals import LineFault, UploadRefused

JSON_BLANKS = b" \t\r"
_ZEROS = re.compile(r"-?0[0-9]+")
_WHOLE = re.compile(rb"[ \t\r]*-?[1-9][0-9]*[ \t\r]*")


class NdjsonKeys:
    """Reads block after block. Lines end with LF and nothing else."""

    def __init__(self, form: KeyForm) -> None:
        self._form = form
        self._highest = highest_integer(form)
        self._names = tuple(column.name for column in form.columns)

    def end_of_records(self, block: bytes) -> int:
        """See RecordEnds."""
        return block.rfind(b"\n") + 1

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:
        """See RecordEnds."""
        return fault_of_endless(block, line)

    def read(self, line: int, block: bytes) -> Iterator[KeyLines]:
        """The keys of whole lines, the first of which is line `line`. Raises UploadRefused."""
        refuse_compressed(line, block)
        quick = self._quick(block) if self._highest else None
        if quick is not None:
            yield quick
        else:
            yield from self._one_by_one(line, block)

    def _quick(self, block: bytes) -> KeyLines | None:
        """The keys where every line is as it should be; None where a closer look is needed."""
        if are_plain(block, self._highest):
            return KeyLines(block, block.count(b"\n"))
        lines = block.split(b"\n")
        full = list(filter(None, lines))
        values = _values(full)
        if values is None:
            full = [line for line in full if line.strip(JSON_BLANKS)]
            values = _values(full)
        keys = None if values is None else self._numbers(block, values)
        if keys is None or set(map(type, keys)) != {int}:
            return None
        found = ("\n".join(map(str, keys)) + "\n").encode()
        return KeyLines(found, len(keys), len(lines) - 1 - len(full)) if are_plain(found, self._highest) else None

    def _numbers(self, block: bytes, values: list[Any]) -> list[Any] | None:
        """What seem to be the keys; None where objects are not as they should be."""
        name = CLIENT_ID if b'"client_id"' in block else self._names[0]
        try:
            if set(map(type, values)) == {dict}:
                objects = values
                keys = list(map(itemgetter(name), values))
            else:
                objects = [value for value in values if type(value) is dict]
                keys = [value[name] if type(value) is dict else value for value in values]
        except KeyError:
            return None
        return keys if _are_members_single(block, objects, {CLIENT_ID, *self._names}) else None

    def _one_by_one(self, line: int, block: bytes) -> Iterator[KeyLines]:
        keys = KeyCollector(self._form.storage)
        lines = block.split(b"\n")
        for number, content in enumerate(lines if lines[-1] else lines[:-1], 1):
            if content.strip(JSON_BLANKS):
                try:
                    keys.take(line + number - 1, self._form.parse, self.key_of(read_value(content)))
                except LineRefused as refused:
                    keys.refuse(line + number - 1, refused.detail, refused.code)
            else:
                keys.blank()
            if number % RECORDS_A_STEP == 0:
                yield keys.part()
        yield keys.last_part()

    def key_of(self, value: object) -> object:
        """What of a line's value is the key. Raises LineRefused."""
        if not isinstance(value, dict):
            return value
        given = [names for names in key_names(self._form) if all(value.get(name) is not None for name in names)]
        if len(self._names) > 1 and isinstance(value.get(CLIENT_ID), dict):
            given.append((CLIENT_ID,))
        if not given:
            raise LineRefused(f"has no {', '.join(key_names(self._form)[0])}")
        if len(given) > 1:
            both = " and ".join(repr(names[0]) for names in given)
            raise LineRefused(f"{both} may both be the key: leave one of them out")
        names = given[0]
        return value[names[0]] if len(names) == 1 else {name: value[name] for name in names}


def fault_of_endless(block: bytes, line: int) -> LineFault:
    """Why no line ends in a block that is as long as a line may be. Raises UploadRefused."""
    refuse_compressed(line, block)
    return LineFault(line, "record_too_long", f"this line has more than {BLOCK_BYTES:,} bytes")


def refuse_compressed(line: int, block: bytes) -> None:
    """Raise UploadRefused where a file begins as one that is compressed: its lines are none."""
    if line == 1 and block.startswith(COMPRESSED):
        raise UploadRefused([LineFault(1, "not_json", IS_COMPRESSED)])


def _values(lines: list[bytes]) -> list[Any] | None:
    try:
        return list(map(orjson.loads, lines))
    except ValueError:
        return None


class LineRefused(Exception):
    """Why a line has no key, or is none."""

    def __init__(self, detail: str, code: str = "invalid_client_id") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


def _are_members_single(block: bytes, objects: list[Any], names: set[str]) -> bool:
    """Whether none of the `objects` in `block` can have a member twice, nor two of the names for the key.

    Counted, and not read: False says only that a closer look is needed.
    """
    if block.count(b":") != sum(map(len, objects)) and not are_all_counted(block, objects):
        return False
    if len(names) == 1:
        return True
    return b"\\" not in block and sum(block.count(b'"%b"' % name.encode()) for name in names) == len(objects)


def read_value(content: bytes) -> object:
    """The JSON value of a line. Raises LineRefused."""
    shown = content[:40].decode("utf-8", "replace").strip()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise LineRefused("not UTF-8: save the file in UTF-8", "not_utf8") from None
    if "\0" in text:
        raise LineRefused("holds a NUL character, which no text has", "not_json")
    try:
        value = orjson.loads(content)
        refuse_twice(content, value)
    except MemberTwiceError as twice:
        raise LineRefused(f"has the member {str(twice)[:80]!r} twice", "duplicate_member") from None
    except RecursionError:
        raise LineRefused("is nested too deeply", "not_json") from None
    except ValueError:
        if _WHOLE.fullmatch(content):
            raise LineRefused(f"{shown} is too large a number") from None
        zero = ": a JSON number begins with no zero" if _ZEROS.fullmatch(shown) else ""
        raise LineRefused(f"{shown!r} is not JSON{zero}", "not_json") from None
    if type(value) is float and _WHOLE.fullmatch(content):  # beyond 64 bits
        raise LineRefused(f"{shown} is too large a number")
    return value
