"""The audit log, for administrators: who did what, when, from where."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.days import DAYS, moment_of_day, wrong_days
from web.words.audit_acts import ACTIONS, ACTORS, shown_object

routes = ScreenRoutes()

_ROWS = 100
_FILTERS = ("actor", "action", *DAYS)
_REFUSED = 422


@routes.get("/audit", role="admin")
async def audit(screen: Screen) -> Response:
    """The acts that fit, newest first."""
    wanted = {name: screen.query(name) for name in _FILTERS}
    wrong = wrong_days(screen)
    found: dict[str, Any] = {"acts": [], "next": None}
    if not wrong:
        days = {name: moment_of_day(screen, name, wanted[name]) for name in DAYS}
        asked = {**wanted, **days, "cursor": screen.query("cursor")}
        found = await screen.api.get("/v1/audit", limit=_ROWS, **asked)
    kept = {name: value for name, value in wanted.items() if value}
    return await screen.show(
        "audit.html",
        status=_REFUSED if wrong else 200,
        wrong=wrong,
        acts=found["acts"],
        following=found["next"],
        wanted=wanted,
        kept=kept,
        action_words=ACTIONS,
        actor_words=ACTORS,
        shown_object=shown_object,
    )
