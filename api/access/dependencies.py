"""What a cold route asks for before it begins: the services, and who calls. Used as types of its parameters.

    router = APIRouter(tags=["holds"], route_class=ModelRoute, responses=PROBLEMS)

    @router.post("/v1/holds", status_code=201)
    async def hold(services: CurrentServices, caller: AdminCaller, body: NewHold) -> Hold:
        row = await services.quick.write(lambda connection: add_hold(connection, caller.owner, body))
        return Hold.model_validate(row, from_attributes=True)

Shapes of bodies and answers are pydantic models in `api.http.schemas`. `CurrentCaller` takes any valid key,
`AdminCaller` an admin's; for another role write `Annotated[Caller, Depends(require_role("operate"))]`. What a route
raises becomes problem+json by itself: errors of `shared.errors` by their kind in `api.http.problems`, `Problem` as it
is, and what FastAPI finds wrong with parameters and bodies as `invalid-request` with a pointer to each flaw.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request, Security

from api.access.auth import Caller
from api.http.openapi import API_KEY
from api.http.problems import FORBIDDEN, Problem
from api.server.services import Services, services_of
from shared.errors import JobUnknown

CurrentServices = Annotated[Services, Depends(services_of)]


async def current_caller(
    request: Request, services: CurrentServices, _: Annotated[object, Security(API_KEY)]
) -> Caller:
    """Whose key the call brings. Raises Unauthorised or DatabaseUnavailable."""
    header = request.headers.get("authorization")
    return await services.auth.caller(None if header is None else header.encode("latin-1"))


CurrentCaller = Annotated[Caller, Depends(current_caller)]


def require_role(role: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency that lets in callers whose key has `role`; an admin's key has all. Others get a Problem 403."""

    async def caller_with_role(caller: CurrentCaller) -> Caller:
        if role not in caller.roles and not caller.is_admin:
            raise Problem(FORBIDDEN, f"This call needs a key with the role {role!r}; yours has {_named(caller)}.")
        return caller

    return caller_with_role


async def require_admin(caller: CurrentCaller) -> Caller:
    """The caller, if the key is an admin's. Raises Problem 403."""
    if not caller.is_admin:
        raise Problem(FORBIDDEN, "This call needs an admin key: predictq keys create OWNER --admin")
    return caller


AdminCaller = Annotated[Caller, Depends(require_admin)]


def parse_job_id(job_id: Annotated[str, Path(description="The job.", json_schema_extra={"format": "uuid"})]) -> UUID:
    """The job id in a path. Raises JobUnknown where it is none."""
    try:
        return UUID(job_id)
    except ValueError:
        raise JobUnknown(job_id[:80]) from None


JobId = Annotated[UUID, Depends(parse_job_id)]


def _named(caller: Caller) -> str:
    return ", ".join(caller.roles) or "none"
