"""A route that is plain FastAPI: its parameters and models are the code, its errors are ours."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.http.requests import headers_of, parse_object, read_body, require_json
from api.http.validation import problem_of_validation


class ModelRoute(APIRoute):
    """Refuses a body that is no JSON, or too large, before FastAPI looks at it, and says as a problem what is wrong.

    While the body comes in, the deadline of the call rests.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler inside ours."""
        handle = super().get_route_handler()
        has_body = self.body_field is not None

        async def checked(request: Request) -> Response:
            if has_body:
                require_json(headers_of(request))
                body = await read_body(request.receive)
                if b"\\u" in body:  # FastAPI's reader takes NUL and halves of characters, which no table does
                    parse_object(body)
                request._body = body  # noqa: SLF001 - where Starlette keeps what it has read
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise problem_of_validation(error) from None

        return checked
