"""Rows of features as they are kept until they are stored: a JSON object per line, ready for an array in a COPY."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from shared.uploads.key_lines import KeyCollector, KeyLines, array_element
from shared.uploads.keys import ClientKey

_VALUES_A_STEP = 2_000  # that are read between two turns of an event loop: three milliseconds or so


def rows_per_step(features: int) -> int:
    """How many rows of so many features are read at a time."""
    return max(1, _VALUES_A_STEP // (features + 3))


class RowCollector:
    """Rows that are looked at one by one, with their keys where they have any."""

    def __init__(self, storage: str) -> None:
        self._keys = KeyCollector(storage)
        self._given: list[str] = []

    def blank(self) -> None:
        """A blank line."""
        self._keys.blank()

    def refuse(self, line: int, detail: str, code: str) -> None:
        """A record that is no row. Raises UploadRefused when there are faults enough."""
        self._keys.refuse(line, detail, code)

    def take_key(self, line: int, parse: Callable[[Any], ClientKey], value: object) -> None:
        """The key of a row, before its features. Raises UploadRefused when there are faults enough."""
        self._keys.take(line, parse, value)

    def take(self, features: Mapping[str, Any]) -> None:
        """The features of a row."""
        self._given.append(array_element(orjson.dumps(features).decode()))

    def part(self) -> KeyLines:
        """The rows since the last part; none after a refusal."""
        found = self._keys.part()
        given, self._given = self._given, []
        if self._keys.has_faults:
            return found
        lines = "".join([f"{element}\n" for element in given]).encode()
        return KeyLines(found.lines, len(given), found.blank_lines, found.spelled, lines)

    def last_part(self) -> KeyLines:
        """The same at the end. Raises UploadRefused where a record was refused."""
        self._keys.check()
        return self.part()
