"""The parameters in a call's address: each is one that the call takes, and stands there once.

A parameter that is dropped without a word answers another question: the wrong model scores, or a list has everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request

from api.http.problems import Flaw, Invalid, pointer
from shared.sources.near_names import nearest

_OF_API = "/v1/"  # the addresses of screens, and of what watches the service, may carry strange parameters
_LONGEST_NAME = 40  # characters of a name that are looked at for one that is near
_WITH_BODY = {"POST", "PUT", "PATCH"}


@dataclass(frozen=True, slots=True)
class QueryNames:
    """The names of the parameters that a route takes, and those of them that may stand more than once."""

    names: tuple[str, ...]
    repeated: frozenset[str]
    has_body: bool

    def refuse_others(self, request: Request) -> None:
        """Raise Invalid for each name that is none of these, or stands twice. Next to nothing without a query."""
        if not request.scope["query_string"]:
            return
        given = Counter(name for name, _ in request.query_params.multi_items())
        flaws = [flaw for name, count in given.items() if (flaw := self._flaw(name, count)) is not None]
        if flaws:
            raise Invalid(*flaws)

    def _flaw(self, name: str, count: int) -> Flaw | None:
        if name not in self.names:
            called = repr(name[:80]) if name else "What stands before `=` is empty, and"
            return Flaw(pointer("query", name), "unknown_parameter", f"{called} {self._instead_of(name)}")
        if count > 1 and name not in self.repeated:
            return Flaw(pointer("query", name), "repeated_parameter", f"{name} stands {count} times: give it once")
        return None

    def _instead_of(self, name: str) -> str:
        if not self.names:
            where = "; what it takes stands in its body" if self.has_body else ""
            return f"is no parameter of this call: it takes none in its address{where}"
        near = nearest(name[:_LONGEST_NAME], self.names)
        said = f"did you mean {near}? It takes" if near else "it takes"
        return f"is no parameter of this call: {said} {', '.join(self.names)}"


def query_names(route: APIRoute) -> QueryNames | None:
    """What a route of the API says that it takes; None for one that is none.

    A model route says it by the arguments of its function, a direct one by the parameters of its `openapi_extra`.
    """
    if not route.path.startswith(_OF_API):
        return None
    fields = list(_fields(route.dependant))
    documented = (route.openapi_extra or {}).get("parameters", ())
    names = [*(field.alias for field in fields), *(one["name"] for one in documented if one["in"] == "query")]
    repeated = frozenset(field.alias for field in fields if get_origin(field.field_info.annotation) is list)
    return QueryNames(tuple(dict.fromkeys(names)), repeated, has_body=bool(_WITH_BODY & (route.methods or set())))


def _fields(dependant: Dependant) -> Iterator[Any]:
    """Those of a function, and of all that it depends on."""
    yield from dependant.query_params
    for other in dependant.dependencies:
        yield from _fields(other)
