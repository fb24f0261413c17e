"""Answers of a job as Parquet, Arrow and Excel: a worker writes the file, and it is fetched when it is there."""

from __future__ import annotations

from functools import partial
from typing import IO, Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import Connection

from api.access.dependencies import CurrentServices, JobId, ReadCaller, current_validity
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import ERRAND_FAILED, EXPORT_NOT_READY, NO_WORKER, NOT_READY, Problem
from api.http.root_path import rooted
from api.jobs.downloads import Copy, Download, download_response
from api.schemas import jobs as schemas
from shared.errands import submit
from shared.exports import (
    FORMATS,
    PIECE_BYTES,
    Export,
    begin_export,
    copy_export_piece,
    count_open_exports,
    read_export,
)
from shared.jobs.records import read_job
from shared.jobs.results import readable

router = APIRouter(tags=["results"], route_class=ModelRoute, responses=PROBLEMS)

ExportId = Annotated[UUID, Path(description="The file, as POST /v1/jobs/{job_id}/exports named it.")]
Format = Annotated[Literal["parquet", "arrow", "xlsx"], Query(alias="format", description="What file to write.")]


@router.post("/v1/jobs/{job_id}/exports", status_code=202, summary="Have answers written as a file")
async def export(
    request: Request,
    response: Response,
    services: CurrentServices,
    caller: ReadCaller,
    job_id: JobId,
    file_format: Format,
) -> schemas.ExportAsked:
    """Ask a worker for a file of the rows that are ready, which is kept for a day. It is at `Location` when written."""

    def ask(connection: Connection) -> UUID:
        read_job(connection, job_id, caller.owner, models=caller.models)
        if readable(connection, job_id) is None:
            raise Problem(NOT_READY, "The first rows of the job are not scored yet.")
        export_id, is_new = begin_export(connection, job_id, caller.owner, file_format)
        if is_new:
            most = services.settings.owner_exports
            if count_open_exports(connection, caller.owner) >= most:
                raise services.caps.too_much("files of answers that are being written", most, "owner_exports")
            asked = {"export_id": str(export_id), "job_id": str(job_id), "format": file_format}
            submit(connection, "write_export", caller.owner, asked)
            record(connection, request, caller, "job.export", f"job {job_id}", after={"format": file_format})
        return export_id

    export_id = await services.quick.write(ask)
    path = rooted(f"/v1/exports/{export_id}")
    response.headers["Location"] = path
    response.headers["Retry-After"] = "1"
    return schemas.ExportAsked(id=export_id, job_id=job_id, format=file_format, links={"self": path})


@router.get(
    "/v1/exports/{export_id}",
    summary="Fetch a file of answers",
    response_class=Response,
    responses={200: {"content": {media_type: {} for media_type in FORMATS.values()}, "description": "The file."}},
)
async def fetch(request: Request, services: CurrentServices, caller: ReadCaller, export_id: ExportId) -> Response:
    """The file, streamed; 409 while a worker still writes it."""

    def read(connection: Connection) -> Export:
        export = read_export(connection, export_id, caller.owner)
        read_job(connection, export.job_id, caller.owner, models=caller.models)  # which may be of another model
        return export

    found = await services.quick.read(read)
    if found.failure is not None:
        raise Problem(ERRAND_FAILED, found.failure)
    if found.is_forgotten:
        raise Problem(NO_WORKER, "No worker writes the file. Is one running? See predictq doctor.")
    if not found.is_complete:
        raise Problem(EXPORT_NOT_READY, "A worker still writes the file.")
    return await download_response(
        Download(services.downloads, caller.owner, current_validity(request, services, caller)),
        partial(begin_copies, found.id, found.size),
        FORMATS[found.format],
        _headers(found),
        services.caps.downloads.place(caller),
    )


def begin_copies(export_id: UUID, size: int, connection: Connection, target: IO[bytes]) -> list[Copy]:
    """The first piece of a file is written here; the others by what is returned."""
    first, *others = [
        partial(copy_export_piece, export_id=export_id, number=number)
        for number in range(max(1, -(-size // PIECE_BYTES)))
    ]
    first(connection, target)
    return [*others]


def _headers(found: Export) -> dict[str, str]:
    return {
        "X-Predictq-Complete": "true" if found.is_whole else "false",
        "X-Predictq-Rows": str(found.rows),
        "Content-Disposition": f'attachment; filename="{found.job_id}.{found.format}"',
        "Content-Length": str(found.size),
    }
