"""A route that FastAPI documents and Starlette runs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.http.query_names import query_names

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """Calls `endpoint(request)`, which answers a Response: no dependencies, no validation, no response model."""

    def get_route_handler(self) -> Answer:
        """The endpoint itself; of the API behind the look at the names in the address."""
        endpoint, names = cast("Answer", self.endpoint), query_names(self)
        if names is None:
            return endpoint

        async def checked(request: Request) -> Response:
            names.refuse_others(request)
            return await endpoint(request)

        return checked
