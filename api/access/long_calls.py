"""Calls that take longer than a revocation: the key is looked at once more before they take work in or give an answer.

A body may come for hours, and a caller may wait for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from api.access.oidc.fetch import ProviderAway
from api.http.problems import Unauthorised
from shared.errors import DatabaseUnavailable

_ASK_AFTER_SECONDS = 1.0  # a key may be remembered for three by then
_ENDED = "The API key, or whatever this call came with, has expired or was revoked since it began."


@dataclass(slots=True)
class _Seen:
    """When what the caller of this call came with was looked at last, and how to do it again."""

    is_valid: Callable[[], Awaitable[bool]]
    at: float  # by time.monotonic()


_seen: ContextVar[_Seen | None] = ContextVar("seen", default=None)


def note_seen(is_valid: Callable[[], Awaitable[bool]]) -> None:
    """What the caller of the call that is being answered came with counts now, and does for as long as `is_valid`.

    A token that has expired since is valid: it was good when the call began, and nobody has taken it back.
    """
    _seen.set(_Seen(is_valid, time.monotonic()))


async def need_still_valid() -> None:
    """Raise Unauthorised where what the caller came with counts no longer. While nobody can tell, it does."""
    seen = _seen.get()
    if seen is None or time.monotonic() - seen.at < _ASK_AFTER_SECONDS:
        return
    try:
        is_valid = await seen.is_valid()
    except (DatabaseUnavailable, ProviderAway):
        return
    if not is_valid:
        raise Unauthorised(_ENDED)
    seen.at = time.monotonic()
