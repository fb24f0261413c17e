"""A route that is plain FastAPI: its parameters and models are the code, its errors are ours."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.http.problems import Flaw, Invalid
from api.http.query_names import query_names
from api.http.requests import (
    JSON_LIMIT,
    SMALL_BYTES,
    address_of,
    headers_of,
    parse_object,
    read_start,
    require_json,
    too_large,
)
from api.http.validation import problem_of_validation

_MOST_MEMBERS = 100  # of a body: more than any model has, and few enough to say of each what is wrong

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class ModelRoute(APIRoute):
    """Refuses strange parameters, and a body that is no JSON or too large, before FastAPI looks; says it as a problem.

    While the body comes in, the deadline of the call rests.
    """

    def get_route_handler(self) -> Answer:
        """FastAPI's own handler inside ours."""
        handle = super().get_route_handler()
        has_body = self.body_field is not None
        names = query_names(self)

        async def checked(request: Request) -> Response:
            if names is not None:
                names.refuse_others(request)
            try:
                return await (self.with_body(request, handle) if has_body else handle(request))
            except RequestValidationError as error:
                raise problem_of_validation(error) from None

        return checked

    async def with_body(self, request: Request, handle: Answer) -> Response:
        """Read the body, and go on with it."""
        require_json(headers_of(request))
        start = await read_start(request.receive)
        if not start.is_small:
            raise too_large(SMALL_BYTES)
        request._body = start.body  # noqa: SLF001 - where Starlette keeps what it has read
        if start.body:
            _keep(request, parse_object(start.body))
        return await handle(request)


class WideRoute(ModelRoute):
    """Takes bodies of up to 1 MB. Whoever sends one of more than 64 kB must have a key before it is read."""

    async def with_body(self, request: Request, handle: Answer) -> Response:
        """Read a large body in steps."""
        services = request.app.state.services
        header = headers_of(request).get(b"authorization")
        caller = await services.auth.caller(header, address_of(request))
        require_json(headers_of(request))
        start = await read_start(request.receive)
        if start.is_small:
            request._body = start.body  # noqa: SLF001 - as above
            if start.body:
                _keep(request, parse_object(start.body))
            return await handle(request)
        async with services.large_json.object(start, request.receive, caller, JSON_LIMIT) as content:
            request._body = b"{}"  # noqa: SLF001 - not empty: what counts is what was read
            _keep(request, content)
            return await handle(request)


def _keep(request: Request, content: dict[str, Any]) -> None:
    """Hand on what was read, where Starlette keeps it."""
    if len(content) > _MOST_MEMBERS:
        detail = f"the body has {len(content):,} members, and no call takes so many"
        raise Invalid(Flaw("", "unknown_field", detail))
    request._json = content  # noqa: SLF001 - as above
