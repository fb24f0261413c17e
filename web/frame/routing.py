"""Routes of screens: whoever answers one gets a `Screen`, and what it raises becomes a page that says what to do.

routes = ScreenRoutes()

@routes.get("/jobs/{job_id}")
async def job(screen: Screen) -> Response:
return await screen.show("job.html", job=await screen.api.get(f"/v1/jobs/{screen.path('job_id')}"))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.http.direct_route import DirectRoute
from api.server.deadline import Deadline, current
from web.frame.refusals import answer_to
from web.frame.screen import NoRight, NotSignedIn, Screen, open_screen

Answer = Callable[[Screen], Awaitable[Response]]
_SECONDS = 4.0  # less than the gateway gives a call, so that it is still a page that says so


class ScreenRoutes:
    """The routes of one module of screens."""

    def __init__(self) -> None:
        self.router = APIRouter(route_class=DirectRoute, include_in_schema=False)
        self.paths: list[str] = []

    def get(
        self, path: str, *, role: str = "", is_public: bool = False, seconds: float = _SECONDS
    ) -> Callable[[Answer], Answer]:
        """A screen at `path`, for people with `role`; a public one is shown to whoever comes.

        `seconds` are what it may take: more than others where a worker is asked.
        """
        self.paths.append(path)
        return self._add("GET", path, role, is_public, seconds)

    def post(
        self, path: str, *, role: str = "", is_public: bool = False, seconds: float = _SECONDS
    ) -> Callable[[Answer], Answer]:
        """A form sent to `path`. One without its token never arrives; fields are in `screen.form`."""
        return self._add("POST", path, role, is_public, seconds)

    def _add(self, method: str, path: str, role: str, is_public: bool, seconds: float) -> Callable[[Answer], Answer]:
        def add(answer: Answer) -> Answer:
            async def endpoint(request: Request) -> Response:
                with current().paused():  # this screen has a time of its own
                    return await _answer(request, answer, role, is_public, seconds)

            self.router.add_api_route(path, endpoint, methods=[method])
            return answer

        return add


async def _answer(request: Request, answer: Answer, role: str, is_public: bool, seconds: float) -> Response:
    screen: Screen | None = None
    try:
        with Deadline(seconds):
            screen = await open_screen(request, is_public=is_public)
            _require(screen, role, is_public)
            return await answer(screen)
    except Exception as error:  # noqa: BLE001 - the last place where it can become a page
        return await answer_to(request, screen, error)
    finally:
        if screen is not None:
            await screen.form.close()  # the file in it


def _require(screen: Screen, role: str, is_public: bool) -> None:
    if not is_public and screen.caller is None:
        raise NotSignedIn
    if role and not screen.signed_in.may(role):
        raise NoRight(role)
