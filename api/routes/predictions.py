"""The trace of one prediction: everything that made its answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path

from api.access.dependencies import CurrentCaller, CurrentServices
from api.http import schemas
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.jobs.job_json import error_json
from shared.jobs.trace import Trace, read_trace

router = APIRouter(tags=["results"], route_class=ModelRoute, responses=PROBLEMS)

RequestIdText = Annotated[
    str, Path(description="The `request_id` of a row of results, or of a single job.", examples=["1042-7"])
]


@router.get("/v1/predictions/{request_id}", summary="The trace of a prediction")
async def trace(services: CurrentServices, caller: CurrentCaller, request_id: RequestIdText) -> schemas.Trace:
    """From the answer back to the exact features, model version, worker and attempt that made it."""
    found = await services.lists.read(
        lambda connection: read_trace(connection, request_id, caller.owner), owner=caller.owner
    )
    return _shape(found)


def _shape(found: Trace) -> schemas.Trace:
    values = asdict(found)
    del values["owner"]
    error = error_json(values.pop("error_code"), values.pop("error_detail"))
    return schemas.Trace(**values, error=error)
