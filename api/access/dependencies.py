"""What a cold route asks for before it begins: the services, and who calls. Used as types of its parameters.

    router = APIRouter(tags=["holds"], route_class=ModelRoute, responses=PROBLEMS)

    @router.post("/v1/holds", status_code=201)
    async def hold(services: CurrentServices, caller: AdminCaller, body: NewHold) -> Hold:
        row = await services.quick.write(lambda connection: add_hold(connection, caller.owner, body))
        return Hold.model_validate(row, from_attributes=True)

Shapes of bodies and answers are pydantic models in `api.schemas`. Each route says which API role it needs:
`ReadCaller`, `BulkCaller`, `FeaturesCaller`, `OperateCaller`, `AdminCaller`, or another `require_role(...)`;
`CurrentCaller` takes any valid key. Routes that are not plain FastAPI ask `caller.need(role)`. What a route raises
becomes problem+json by itself: errors of `shared.errors` by their kind in `api.http.problems`, `Problem` as it is, and
what FastAPI finds wrong with parameters and bodies as `invalid-request` with a pointer to each flaw.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request, Security

from api.access.auth import Validity
from api.access.caller import Caller
from api.http.openapi import API_KEY
from api.http.requests import address_of
from api.server.services import Services, services_of
from shared.errors import DatabaseUnavailable, JobUnknown


# Coroutines, although nothing is awaited: FastAPI runs plain functions in a thread, which costs more than they do.
async def current_services(request: Request) -> Services:
    """What the gateway's routes work with."""
    return services_of(request)


CurrentServices = Annotated[Services, Depends(current_services)]


async def current_caller(
    request: Request, services: CurrentServices, _: Annotated[object, Security(API_KEY)]
) -> Caller:
    """Whose key the call brings. Raises Unauthorised or DatabaseUnavailable."""
    header = request.headers.get("authorization")
    return await services.auth.caller(None if header is None else header.encode("latin-1"), address_of(request))


CurrentCaller = Annotated[Caller, Depends(current_caller)]


def current_validity(request: Request, services: Services, caller: Caller) -> Validity:
    """Whether the key or the session that this call came with still counts; while nobody can tell, it does."""
    header = request.headers.get("authorization", "").encode("latin-1")
    validity = services.auth.validity_of(caller, header or None, address_of(request))

    async def is_valid() -> bool:
        try:
            return await validity.is_valid()
        except DatabaseUnavailable:
            return True

    return Validity(validity.came_with, is_valid)


def require_role(*roles: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency that lets in callers who have one of `roles`; admins have all. Others get a Problem 403."""

    async def caller_with_role(caller: CurrentCaller) -> Caller:
        caller.need(*roles)
        return caller

    return caller_with_role


ReadCaller = Annotated[Caller, Depends(require_role("read"))]
BulkCaller = Annotated[Caller, Depends(require_role("bulk"))]
FeaturesCaller = Annotated[Caller, Depends(require_role("features"))]
OperateCaller = Annotated[Caller, Depends(require_role("operate"))]
AdminCaller = Annotated[Caller, Depends(require_role("admin"))]


def parse_job_id(job_id: str) -> UUID:
    """The job id in a path. Raises JobUnknown where it is none."""
    try:
        return UUID(job_id)
    except ValueError:
        raise JobUnknown(job_id[:80]) from None


async def given_job_id(
    job_id: Annotated[str, Path(description="The job.", json_schema_extra={"format": "uuid"})],
) -> UUID:
    """The job id in a path, for routes that FastAPI reads the path for. Raises JobUnknown where it is none."""
    return parse_job_id(job_id)


JobId = Annotated[UUID, Depends(given_job_id)]
