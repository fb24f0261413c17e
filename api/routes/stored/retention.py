"""How long answers are kept, runs that let go what is due, and what is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy import Connection

from api.access.dependencies import AdminCaller, CurrentServices, OperateCaller
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.root_path import rooted
from api.schemas import retention as schemas
from api.server.deadline import current
from shared.postgres.engine import autocommit
from shared.retention.asked_runs import AskedRun, ask_run, read_run
from shared.retention.report import Report
from shared.retention.rules.policy import Policy, read_policy, set_floor, set_period
from shared.retention.run import dry_run
from shared.storage.disk import read_disk
from shared.storage.usage import read_usage

router = APIRouter(tags=["retention"], route_class=ModelRoute, responses=PROBLEMS)

_LONG_SECONDS = 50.0  # all pages are looked at, of which there may be millions; less than a caller's patience

RunId = Annotated[UUID, Path(description="The run.")]


@router.get("/v1/retention", summary="How long answers are kept")
async def read_retention(services: CurrentServices, _: AdminCaller) -> schemas.Retention:
    """The default, the floor, and what holds for each model."""
    return _shape(await services.quick.read(read_policy))


@router.put("/v1/retention", summary="Say how long answers are kept")
async def set_retention(
    request: Request, services: CurrentServices, caller: AdminCaller, body: schemas.RetentionChange
) -> schemas.Retention:
    """For all models, or for one. A period below the floor is refused. It counts from the next run on."""

    def change(connection: Connection) -> Policy:
        before = read_policy(connection)
        after = set_period(connection, body.keep_for, model=body.model)
        was, now = _kept(before, body.model), _kept(after, body.model)
        record(connection, request, caller, "retention.set", body.model, before=was, after=now)
        return after

    return _shape(await services.quick.write(change))


@router.put("/v1/retention/floor", summary="Say what nothing may go below")
async def change_floor(
    request: Request, services: CurrentServices, caller: AdminCaller, body: schemas.FloorChange
) -> schemas.Retention:
    """The shortest period that may be set, 30 days at least."""

    def change(connection: Connection) -> Policy:
        before, after = read_policy(connection), set_floor(connection, body.floor)
        was, now = {"floor": before.floor}, {"floor": after.floor}
        record(connection, request, caller, "retention.floor", None, before=was, after=now)
        return after

    return _shape(await services.quick.write(change))


@router.post("/v1/retention/run", summary="Let go what is due", responses={202: {"model": schemas.RetentionRun}})
async def run(
    request: Request, response: Response, services: CurrentServices, caller: AdminCaller, body: schemas.RunOrder
) -> schemas.RetentionRun:
    """With `dry_run` the answer says what would go. Else the upkeep process carries it out: 202, and where to look."""
    if body.dry_run:
        current().at_least(_LONG_SECONDS)
        report = await services.downloads.run_long(
            lambda: dry_run(services.downloads.engine, datetime.now(UTC)), owner=caller.owner
        )
        return schemas.RetentionRun(id=None, status="done", report=_report(report))

    def ask(connection: Connection) -> AskedRun:
        asked = ask_run(connection, caller.actor)
        record(connection, request, caller, "retention.ask", str(asked.id))
        return asked

    asked = await services.quick.write(ask)
    response.status_code = 202
    response.headers["Location"] = rooted(f"/v1/retention/runs/{asked.id}")
    return _run(asked)


@router.get("/v1/retention/runs/{run_id}", summary="What became of a run")
async def read_retention_run(services: CurrentServices, _: AdminCaller, run_id: RunId) -> schemas.RetentionRun:
    """A run that was asked for, with its report when it has ended."""
    return _run(await services.quick.read(lambda connection: read_run(connection, run_id)))


@router.get("/v1/storage", summary="What is stored")
async def read_storage(services: CurrentServices, caller: OperateCaller) -> schemas.Storage:
    """Bytes by model and month, growth, and when the disk is full. Needs the role `operate`."""
    caller.need_all_models()

    def read() -> schemas.Storage:
        with autocommit(services.downloads.engine) as connection:
            usage = read_usage(connection)
            disk = read_disk(connection, usage.lately_bytes, services.settings.disk_bytes)
        return schemas.Storage(
            months=[schemas.ModelMonth.model_validate(month, from_attributes=True) for month in usage.months],
            other_bytes=usage.other_bytes,
            total_bytes=usage.total_bytes,
            bytes_per_day=disk.bytes_per_day,
            free_bytes=disk.free_bytes,
            days_left=disk.days_left,
        )

    current().at_least(_LONG_SECONDS)
    return await services.downloads.run_long(read, owner=caller.owner)


def _kept(policy: Policy, model: str | None) -> dict[str, Any]:
    if model is None:
        return {"keep_for": policy.keep_for}
    return {"keep_for": next((one.own for one in policy.models if one.model == model), None)}


def _shape(policy: Policy) -> schemas.Retention:
    return schemas.Retention.model_validate(policy, from_attributes=True)


def _report(report: Report) -> schemas.RunReport:
    return schemas.RunReport.model_validate(report.to_json())


def _run(asked: AskedRun) -> schemas.RetentionRun:
    report = asked.report or {}
    return schemas.RetentionRun(
        id=asked.id,
        status=asked.status,
        report=schemas.RunReport.model_validate(report) if asked.status == "done" else None,
        error=report.get("error"),
        created_at=asked.created_at,
        finished_at=asked.finished_at,
    )
