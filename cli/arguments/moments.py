"""Moments, as they are typed: `2h`, or `2026-11-26T18:00`, in the zone of this machine where none is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from cli.errors import UsageProblem

_LENGTH = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def moment_ahead(option: str, text: str) -> str:
    """RFC 3339 with its zone; 90m is an hour and a half from now. Raises UsageProblem."""
    return _moment(option, text, 1)


def moment_ago(option: str, text: str) -> str:
    """The same, but that 90m is an hour and a half ago."""
    return _moment(option, text, -1)


def is_length(text: str) -> bool:
    """Whether it is a length of time, as 90m: another moment whenever it is read."""
    return _LENGTH.fullmatch(text) is not None


def seconds_of(option: str, text: str) -> int:
    """The seconds of a length of time. Raises UsageProblem."""
    length = _LENGTH.fullmatch(text)
    if length is None:
        raise UsageProblem(f"{option} {text}: write it as 90m, 2h or 7d")
    return int(length[1]) * _SECONDS[length[2]]


def _moment(option: str, text: str, direction: int) -> str:
    length = _LENGTH.fullmatch(text)
    try:
        if length is not None:
            found = datetime.now(UTC) + direction * timedelta(seconds=int(length[1]) * _SECONDS[length[2]])
        else:
            found = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageProblem(f"{option} {text}: write it as 2h, 90m, 1d or 2026-11-26T18:00") from None
    return found.isoformat()
