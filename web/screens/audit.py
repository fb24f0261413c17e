"""The audit log, for administrators: who did what, when, from where."""

from __future__ import annotations

from datetime import datetime, time

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()

_ROWS = 100
_FILTERS = ("actor", "action", "since", "until")


@routes.get("/audit", role="admin")
async def audit(screen: Screen) -> Response:
    """The acts that fit, newest first."""
    wanted = {name: screen.query(name) for name in _FILTERS}
    found = await screen.api.get(
        "/v1/audit",
        limit=_ROWS,
        cursor=screen.query("cursor"),
        actor=wanted["actor"],
        action=wanted["action"],
        since=_moment(screen, wanted["since"], time.min),
        until=_moment(screen, wanted["until"], time.max),
    )
    kept = {name: value for name, value in wanted.items() if value}
    return screen.show("audit.html", acts=found["acts"], following=found["next"], wanted=wanted, kept=kept)


def _moment(screen: Screen, day: str, clock: time) -> str | None:
    """A day of the reader's calendar as the API takes it; what is no day is left out, and the field shows it."""
    try:
        return datetime.combine(datetime.fromisoformat(day).date(), clock, screen.language.zone).isoformat()
    except ValueError:
        return None
