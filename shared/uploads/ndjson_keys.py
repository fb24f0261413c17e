"""The client keys in NDJSON: on each line a key, or an object that has one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import orjson

from shared.uploads.blocks import BLOCK_BYTES
from shared.uploads.headings import CLIENT_ID, key_names
from shared.uploads.key_lines import RECORDS_A_STEP, KeyCollector, KeyLines, are_plain, highest_integer
from shared.uploads.keys import KeyForm
from shared.uploads.refusals import LineFault

JSON_BLANKS = b" \t\r"
_ZEROS = re.compile(r"-?0[0-9]+")
_WHOLE = re.compile(rb"[ \t\r]*-?[1-9][0-9]*[ \t\r]*")
_SPACED_COLON = re.compile(rb'"[ \t\r]+:')


class NdjsonKeys:
    """Reads block after block. Lines end with LF and nothing else."""

    def __init__(self, form: KeyForm) -> None:
        self._form = form
        self._highest = highest_integer(form)
        self._names = tuple(column.name for column in form.columns)

    def end_of_records(self, block: bytes) -> int:
        """See RecordEnds."""
        return block.rfind(b"\n") + 1

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:  # noqa: ARG002 - what the line holds does not matter
        """See RecordEnds."""
        return LineFault(line, "record_too_long", f"this line has more than {BLOCK_BYTES:,} bytes")

    def read(self, line: int, block: bytes) -> Iterator[KeyLines]:
        """The keys of whole lines, the first of which is line `line`. Raises UploadRefused."""
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

    Counted, and not read: each member written has a colon, so where there are no more colons than members were found,
    none was dropped for another of its name. False says only that a closer look is needed.
    """
    if block.count(b":") != sum(map(len, objects)) and not _are_all_counted(block, objects):
        return False
    if len(names) == 1:
        return True
    return b"\\" not in block and sum(block.count(b'"%b"' % name.encode()) for name in names) == len(objects)


def _are_all_counted(block: bytes, objects: list[Any]) -> bool:
    """The same with the objects in the objects, and with texts that hold colons."""
    members = sum(map(_members, objects))
    if block.count(b":") == members:
        return True
    return block.count(b'":') == members and not _SPACED_COLON.search(block)


def _members(value: Any) -> int:
    """How many members all objects in a value have. What JSON was read holds has a depth that does not matter."""
    if type(value) is dict:
        return len(value) + sum([_members(item) for item in value.values() if type(item) is dict or type(item) is list])
    return sum([_members(item) for item in value if type(item) is dict or type(item) is list])


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
        if b":" in content and not _is_counted(content, value):
            _DECODER.decode(text)
    except _TwiceError as twice:
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


def _is_counted(content: bytes, value: object) -> bool:
    """Whether no member of an object was written twice, found out by counting; False: a closer look is needed."""
    return type(value) is dict and _are_all_counted(content, [value])


class _TwiceError(Exception):
    """An object has a member twice; its name."""


def _refuse_twice(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return members


def _nought(_: str) -> int:
    """Numbers do not matter here, and those of 5,000 digits are slow."""
    return 0


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_twice, parse_int=_nought, parse_float=_nought)
