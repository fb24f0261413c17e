"""How the service stands at this moment, for the screens that show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web.frame.api_calls import ApiRefused
from web.frame.screen import Screen

_UNHEALTHY = 503


async def read_health(screen: Screen) -> Mapping[str, Any]:
    """What waits, by queue. The call answers 503 when something is wrong, and says what all the same."""
    try:
        found: Mapping[str, Any] = await screen.api.get("/health") or {}
    except ApiRefused as error:
        if error.status != _UNHEALTHY:
            raise
        return error.problem
    return found
