"""The field at the top of every screen: a job, a request, a client, a model or a source, by what people know of it.

A client's key may be anything, and never stands in an address: what is sought goes with a form, and clients come first.
Where several things fit, the browser is led to an address with what was found, to which it can come back.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from web.frame.api_calls import ApiRefused, known_uuid, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.clients import show_client_of_key
from web.words.catalogues import N_

routes = ScreenRoutes()

_REQUEST_ID = re.compile(r"\d{1,18}-\d{1,9}")
_UNKNOWN = 404
_NONE_SUCH = (400, 403, 404, 422)  # no name or id, or nothing that somebody may see
_MOST = 10  # of a kind


@dataclass(frozen=True, slots=True)
class Hit:
    """A model or a source of that name, and where it is shown."""

    kind: str
    place: str
    name: str
    path: str


@routes.post("/find")
async def find(screen: Screen) -> Response:
    """Go to what was asked for; where several fit, show them."""
    text = screen.given("find")
    if not text:
        return screen.go("/jobs")
    if _REQUEST_ID.fullmatch(text) and await _is_there(screen, f"/v1/predictions/{text}"):
        return screen.go(f"/answers/{text}")
    if _is_uuid(text) and await _is_there(screen, f"/v1/jobs/{UUID(text)}"):
        return screen.go(f"/jobs/{UUID(text)}")
    client = await show_client_of_key(screen, text)
    if client is not None:
        return client
    jobs = {**await _jobs(screen, id=text.replace("...", "…")), **await _jobs(screen, name=text)}
    hits = [hit async for hit in _hits(screen, lambda _, name: text.casefold() in name.casefold())]
    paths = [*(f"/jobs/{job_id}" for job_id in jobs), *(hit.path for hit in hits)]
    if len(paths) == 1:
        return screen.go(paths[0])
    if paths:
        found = [*(("job", job_id) for job_id in list(jobs)[:_MOST]), *((hit.place, hit.name) for hit in hits)]
        return screen.go(f"/found?{urlencode(found)}")
    return await screen.show("find.html", status=_UNKNOWN, jobs=[], most=_MOST, hits=[], sought=text)


@routes.get("/found")
async def found(screen: Screen) -> Response:
    """What was found, where several things fit: those that the address names, as far as somebody may see them."""
    named = screen.request.query_params
    jobs = [await _job(screen, job_id) for job_id in named.getlist("job")[:_MOST]]
    shown = [job for job in jobs if job is not None]
    hits = [hit async for hit in _hits(screen, lambda place, name: name in named.getlist(place))]
    status = 200 if shown or hits else _UNKNOWN
    return await screen.show("find.html", status=status, jobs=shown, most=_MOST, hits=hits, sought="")


async def _hits(screen: Screen, fits: Callable[[str, str], bool]) -> AsyncIterator[Hit]:
    """Models, and sources where somebody may see them, of which the place and the name fit."""
    places = [(N_("Model"), "models"), *([(N_("Source"), "sources")] if screen.signed_in.may("admin") else [])]
    for kind, place in places:
        known = (await screen.api.get(f"/v1/{place}"))[place]
        names = sorted(item["name"] for item in known if fits(place, item["name"]))
        for name in names[:_MOST]:
            yield Hit(kind, place, name, f"/{place}/{path_part(name)}")


async def _job(screen: Screen, job_id: str) -> dict[str, Any] | None:
    """The job of this id; None where there is none for whoever looks."""
    try:
        job: dict[str, Any] = await screen.api.get(f"/v1/jobs/{known_uuid(job_id)}")
    except ApiRefused as refused:
        if refused.status not in _NONE_SUCH:
            raise
        return None
    return job


async def _jobs(screen: Screen, **wanted: str) -> dict[str, dict[str, Any]]:
    """The newest jobs by what is shown of an id, or by a part of their name; none where nothing can fit."""
    try:
        found = await screen.api.get("/v1/jobs", limit=_MOST, **wanted)
    except ApiRefused as refused:
        if refused.status not in _NONE_SUCH:
            raise
        return {}
    return {job["id"]: job for job in found["jobs"]}


async def _is_there(screen: Screen, path: str) -> bool:
    """Whether the API knows it: a client's key may look like a job's id, and must not get into an address."""
    try:
        await screen.api.get(path)
    except ApiRefused as refused:
        return refused.status != _UNKNOWN  # the screen says what else is wrong
    return True


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
