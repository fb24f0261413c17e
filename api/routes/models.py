"""Model versions: which there are, and which one new jobs are pinned to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.access.dependencies import AdminCaller, CurrentCaller, CurrentServices
from api.http import schemas
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.validation import PlainNumber
from shared.models.registry import ModelVersion, get_model, list_models, promote_model

router = APIRouter(tags=["models"], route_class=ModelRoute, responses=PROBLEMS)

Version = Annotated[int, PlainNumber, Path(ge=1, le=2**31 - 1, description="The model version.")]


@router.get("/v1/models", summary="All model versions")
async def read_models(services: CurrentServices, _: CurrentCaller) -> schemas.ModelList:
    """All model versions, newest first."""
    return schemas.ModelList(models=[_shape(model) for model in await services.quick.read(list_models)])


@router.get("/v1/models/{version}", summary="A model version")
async def read_model(services: CurrentServices, _: CurrentCaller, version: Version) -> schemas.Model:
    """One model version with its signature: the features that predict_raw takes while it is live."""
    return _shape(await services.quick.read(lambda connection: get_model(connection, version)))


@router.post("/v1/models/{version}/promote", summary="Make a model live")
async def promote(services: CurrentServices, _: AdminCaller, version: Version) -> schemas.Model:
    """Make a version the live one. Accepted jobs keep theirs. Needs an admin key."""
    model = await services.quick.write(lambda connection: promote_model(connection, version))
    services.live_model.forget()
    return _shape(model)


def _shape(model: ModelVersion) -> schemas.Model:
    return schemas.Model.model_validate(model, from_attributes=True)
