"""Files that a worker opens: models, and tables. The gateway only keeps their bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request

from api.access.dependencies import BulkCaller, CurrentServices
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.requests import headers_of
from api.intake.kept_files import keep_body
from api.intake.uploads import HashedBody
from api.schemas import jobs as schemas
from api.schemas import uploads as upload_schemas
from shared.uploaded_files import find_file

router = APIRouter(tags=["files"], route_class=ModelRoute, responses=PROBLEMS)

UploadId = Annotated[UUID, Path(description="The file, as POST /v1/uploads named it.")]


@router.post("/v1/uploads", status_code=201, summary="Send a file for a worker to open")
async def upload(request: Request, services: CurrentServices, caller: BulkCaller) -> schemas.UploadedFile:
    """Keep the bytes of a model or of a table for a day; name them by `id` in the call that wants them opened."""
    upload_id, file = await keep_body(services, caller, headers_of(request), HashedBody(request.receive))
    return schemas.UploadedFile(id=upload_id, size=file.size, sha256=file.sha256)


@router.post("/v1/uploads/{upload_id}/look", summary="See what is understood of a table")
async def look(
    services: CurrentServices, caller: BulkCaller, upload_id: UploadId, body: upload_schemas.LookOrder
) -> upload_schemas.UploadLook:
    """What a job of this file would be made of: how it is written, which columns are used, and what does not fit.

    A worker reads it, for 20 seconds at most; of a longer file the rows up to there are counted. Nothing is scored.
    """
    model = await services.models.find(caller, body.model)
    file = await services.quick.read(lambda connection: find_file(connection, upload_id, caller.owner))
    order = replace(body.to_order(upload_id), media_type=file.media_type)
    asked = {"order": order.to_json(), "owner": caller.owner, "version_id": model.version.id}
    found: dict[str, Any] = await services.errands.run("look_at_upload", caller, asked)
    return upload_schemas.UploadLook.model_validate({"model": model.version.model, **found})
