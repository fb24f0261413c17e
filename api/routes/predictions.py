"""The trace of one prediction: everything that made its answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Request
from sqlalchemy import Connection

from api.access.dependencies import CurrentServices, ReadCaller
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.jobs.job_json import error_json
from api.schemas import jobs as schemas
from shared.jobs.trace import Trace, read_trace

router = APIRouter(tags=["results"], route_class=ModelRoute, responses=PROBLEMS)

RequestIdText = Annotated[
    str, Path(description="The `request_id` of a row of results, or of a single job.", examples=["1042-7"])
]


@router.get("/v1/predictions/{request_id}", summary="The trace of a prediction")
async def trace(
    request: Request, services: CurrentServices, caller: ReadCaller, request_id: RequestIdText
) -> schemas.Trace:
    """From the answer back to the exact features, model version, worker and attempt that made it.

    Without the role `features` there are none in it, and it says so; with it the audit log gets a line.
    """

    def read(connection: Connection) -> Trace:
        return read_trace(connection, request_id, caller.owner, models=caller.models)

    def read_with_features(connection: Connection) -> Trace:
        found = read(connection)
        record(connection, request, caller, "features.read", f"prediction {found.request_id}")
        return found

    if not caller.may("features"):
        return _shape(await services.lists.read(read, owner=caller.owner), shows_features=False)
    return _shape(await services.lists.write(read_with_features, owner=caller.owner), shows_features=True)


def _shape(found: Trace, *, shows_features: bool) -> schemas.Trace:
    values = asdict(found)
    del values["owner"]
    error = error_json(values.pop("error_code"), values.pop("error_detail"))
    if not shows_features:
        values["features"] = None
    return schemas.Trace(**values, error=error, features_left_out=not shows_features)
