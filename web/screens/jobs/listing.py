"""Jobs: the list, by status, kind, model, text and time, all of which stand in the address."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.days import DAYS, moment_of_day, wrong_days
from web.screens.pauses import read_pauses
from web.words.api_refusals import told_flaw
from web.words.statuses import KINDS, STATES

routes = ScreenRoutes()

FILTERS = ("status", "kind", "model", "name", "since", "until")
_STATUSES = {  # states of a filter that the API has other words for
    "succeeded": {"status": "succeeded", "errors": "none"},
    "partly": {"status": "succeeded", "errors": "any"},
}
_ROWS = 50
_REFUSED = 422


@routes.get("/jobs")
async def jobs(screen: Screen) -> Response:
    """The caller's jobs, newest first."""
    wanted = filter_of(screen)
    wrong = wrong_days(screen)
    found: dict[str, Any] = {"jobs": [], "next": None}
    if not wrong:
        try:
            asked = for_api(screen, wanted)
            found = await screen.api.get("/v1/jobs", limit=_ROWS, cursor=screen.query("cursor"), **asked)
        except ApiRefused as error:
            if error.status != _REFUSED:
                raise
            flaws = error.problem.get("errors", ())
            wrong = {flaw["pointer"].rpartition("/")[2]: told_flaw(screen.language, flaw) for flaw in flaws}
    return await screen.show(
        "jobs.html",
        status=_REFUSED if wrong else 200,
        typed={name: screen.query(name) for name in FILTERS},
        wrong=wrong,
        jobs=found["jobs"],
        following=found["next"],
        wanted=wanted,
        is_first=not screen.query("cursor"),
        states=STATES,
        kinds=KINDS,
        models=await _models(screen),
        held=await read_pauses(screen, wanted.get("model", "")),
    )


def filter_of(screen: Screen) -> dict[str, str]:
    """What of the list's filter stands in the address or in a form; what nobody understands is left out."""
    given = {name: screen.query(name) or screen.given(name) for name in FILTERS}
    for name, known in (("status", STATES), ("kind", KINDS)):
        if given[name] not in known:
            given[name] = ""
    return {
        name: value
        for name, value in given.items()
        if value and (name not in DAYS or moment_of_day(screen, name, value))
    }


def for_api(screen: Screen, wanted: dict[str, str]) -> dict[str, Any]:
    """The same for the API: days are the reader's, and `until` is the last of them; a state may be two words."""
    days = {name: moment_of_day(screen, name, wanted[name]) for name in DAYS if name in wanted}
    return {**wanted, **days, **_STATUSES.get(wanted.get("status", ""), {})}


async def _models(screen: Screen) -> list[str]:
    """Names to choose from; none where the caller may not see them."""
    try:
        found = await screen.api.get("/v1/models")
    except ApiRefused:
        return []
    return sorted({model["name"] for model in found["models"]})
