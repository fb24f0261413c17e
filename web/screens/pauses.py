"""Holding work back, and letting it go on: of a queue, of a model, or of a model in a queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.overview import PauseWish, show_overview
from web.words.api_refusals import told_refusal

routes = ScreenRoutes()

_OF_THE_FORM = (403, 404, 422)  # not this model, no such model, or not like this: the form says it


async def read_pauses(screen: Screen, model: str = "", queues: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What is held back of `model` and in one of `queues`; empty: of any."""
    found = (await screen.api.get("/v1/pauses"))["pauses"]
    return [
        pause
        for pause in found
        if (not model or pause["model"] in (None, model)) and (not queues or pause["queue"] in (None, *queues))
    ]


@routes.post("/pauses", role="operate")
async def pause(screen: Screen) -> Response:
    """Hold work back. Jobs are accepted as ever, and lose nothing."""
    wish = PauseWish(screen.given("queue"), screen.given("model"), screen.given("reason"))
    order = {"queue": wish.queue or None, "model": wish.model or None, "reason": wish.reason}
    try:
        await screen.api.post("/v1/pauses", order)
    except ApiRefused as refused:
        if refused.status not in _OF_THE_FORM:
            raise
        told = told_refusal(screen.language, refused.problem)
        is_of_model = refused.code == "model-unknown" or refused.problem.get("reason") == "other-models"
        return await show_overview(screen, replace(wish, refusal=told, is_of_model=is_of_model))
    return screen.go("/#pauses")


@routes.post("/pauses/{number}/resume", role="operate")
async def resume(screen: Screen) -> Response:
    """Let it go on. What somebody else has resumed already is resumed."""
    number = screen.path("number")
    try:
        await screen.api.call("DELETE", f"/v1/pauses/{int(number) if number.isdecimal() else 0}")
    except ApiRefused as error:
        if error.status != 404:
            raise
    return screen.go("/#pauses")
