"""The id of a prediction: `1042-7` is row 7 of batch 1042. One form everywhere; it can be said on the telephone."""

from __future__ import annotations

import re
from typing import NamedTuple

FORM = r"(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,5})"
_FORM = re.compile(FORM, re.ASCII)


class RequestId(NamedTuple):
    """A batch and a row of it, counted from 0."""

    batch_id: int
    row: int

    def __str__(self) -> str:
        return f"{self.batch_id}-{self.row}"


def parse_request_id(text: str) -> RequestId | None:
    """Read `1042-7`; None where the text is no request id."""
    match = _FORM.fullmatch(text)
    return RequestId(int(match[1]), int(match[2])) if match else None
