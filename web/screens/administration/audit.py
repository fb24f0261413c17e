"""The audit log, for administrators: who did what, when, from where."""

from __future__ import annotations

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.audit_acts import ACTIONS, ACTORS, shown_object
from web.words.typed import start_of

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
        since=start_of(wanted["since"], screen.language.zone),
        until=start_of(wanted["until"], screen.language.zone, later=1),
    )
    kept = {name: value for name, value in wanted.items() if value}
    return await screen.show(
        "audit.html",
        acts=found["acts"],
        following=found["next"],
        wanted=wanted,
        kept=kept,
        action_words=ACTIONS,
        actor_words=ACTORS,
        shown_object=shown_object,
    )
