"""The first screen: is it running, how far, and what needs a person?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from web.charts.areas import sparkline
from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.last_hour import LastHour, read_last_hour
from web.words.concerns import say_concern

routes = ScreenRoutes()

_JOBS = 8
_UNHEALTHY = 503  # the answer of /health that still says how things stand
_NOT_FOR_THEM = (403, 404)  # somebody may not see it: the rest is shown all the same


@routes.get("/")
async def overview(screen: Screen) -> Response:
    """What happens now, what happened in the last hour, and what needs somebody."""
    jobs, health, samples, workers, attention, pauses = await asyncio.gather(
        screen.api.get("/v1/jobs", limit=_JOBS),
        _health(screen),
        _if_allowed(screen, "/v1/samples"),
        _if_allowed(screen, "/v1/workers"),
        _if_allowed(screen, "/v1/attention"),
        _if_allowed(screen, "/v1/pauses"),
    )
    queues = (health or {}).get("queues", {})
    hour = read_last_hour(samples)
    return screen.show(
        "overview.html",
        now=datetime.now(UTC).isoformat(),
        jobs=jobs["jobs"],
        waiting=sum(queue["waiting_rows"] for queue in queues.values()),
        oldest=max((queue["oldest_seconds"] for queue in queues.values()), default=0.0),
        queues=queues,
        hour=hour,
        chart=_chart(screen, hour),
        sparkline=sparkline,
        workers=None if workers is None else workers["workers"],
        needs=None if attention is None else [_said(screen, need) for need in attention["needs"]],
        pauses=[] if pauses is None else pauses["pauses"],
        models=sorted({job["model"] for job in jobs["jobs"]} | set(hour.models)),
    )


async def _if_allowed(screen: Screen, path: str) -> Any:
    try:
        return await screen.api.get(path)
    except ApiRefused as error:
        if error.status not in _NOT_FOR_THEM:
            raise
        return None


async def _health(screen: Screen) -> Any:
    """What waits at this moment. The call answers 503 when something is wrong, and says what all the same."""
    try:
        return await screen.api.get("/health")
    except ApiRefused as error:
        if error.status != _UNHEALTHY:
            raise
        return error.problem


def _said(screen: Screen, need: dict[str, Any]) -> dict[str, Any]:
    words = say_concern(screen.language, need["code"], need["about"], need["detail"], need["advice"])
    if words.path == "/sources" and not screen.signed_in.may("admin"):
        words = replace(words, path="")  # that screen is for administrators
    return {"words": words, "since": need["since"]}


def _chart(screen: Screen, hour: LastHour) -> str:
    numbers = screen.language.numbers
    label = screen.say("Answers a minute over the last hour, by model: now %(now)s", now=numbers.whole(hour.now))
    return hour.chart(screen.language, label)
