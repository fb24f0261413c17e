"""Models and their versions: which there are, and which version new jobs are pinned to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.dependencies import AdminCaller, CurrentServices, OperateCaller, ReadCaller, require_role
from api.http.acts import record
from api.http.cursors import in_query
from api.http.model_route import WideRoute
from api.http.openapi import PROBLEMS
from api.http.problems import Flaw, Invalid
from api.http.validation import PlainNumber
from api.routes.version_shapes import version_shape, version_shapes
from api.schemas import models as schemas
from api.schemas.base import OfModel
from api.server.services import Services
from shared.errors import NoLiveModel
from shared.jobs.accepting.model_choice import is_model_name
from shared.models.model_list import ModelSummary, describe_model, list_models
from shared.models.promotion import check_promotion
from shared.models.promotion_history import list_promotions, previous_version
from shared.models.registry import (
    ModelVersion,
    find_version,
    get_version,
    list_versions,
    live_version,
    newest_checked,
    promote_version,
    retire_version,
    set_default,
    withdraw_model,
)
from shared.sentences import Sentence
from shared.sources.source import read_source

_REGISTER_SECONDS = 180.0  # a large forest takes its time

router = APIRouter(tags=["models"], route_class=WideRoute, responses=PROBLEMS)

Name = Annotated[str, Path(max_length=100, description="The model.", examples=["churn"])]
Number = Annotated[int, PlainNumber, Path(ge=1, le=2**31 - 1, description="The version of the model.")]
SignatureCaller = Annotated[Caller, Depends(require_role("read", "predict"))]
NO_FORCE = schemas.Promotion()
CHECK = schemas.Check()


@router.get("/v1/models", summary="All models")
async def read_models(services: CurrentServices, caller: ReadCaller) -> schemas.ModelList:
    """All models by name, with what is live of each; only those that the key is for, where it is limited to some."""
    found = await services.quick.read(list_models)
    return schemas.ModelList(models=[_summary(model) for model in found if caller.may_use(model.name)])


@router.get("/v1/signature", summary="What a prediction takes")
async def read_signature(
    services: CurrentServices,
    caller: SignatureCaller,
    model: OfModel = None,
) -> schemas.LiveSignature:
    """The features that `POST /v1/predict_raw` takes now for the same `model`: those of the live version.

    For whoever may predict, too, and without the lists of models: refusals of predict_raw name the features anyway.
    """
    with in_query():
        version = (await services.models.find(caller, model)).version
    return schemas.LiveSignature.model_validate(version, from_attributes=True)


@router.get("/v1/models/{name}", summary="A model")
async def read_model(services: CurrentServices, caller: ReadCaller, name: Name) -> schemas.ModelWithVersions:
    """A model with all its versions, newest first. A version's signature names the features that predict_raw takes."""
    caller.need_model(name)

    def read(connection: Connection) -> schemas.ModelWithVersions:
        (model,) = list_models(connection, name)
        versions = version_shapes(connection, list_versions(connection, name))
        promotions = [
            schemas.PromotionRecord.model_validate(one, from_attributes=True)
            for one in list_promotions(connection, name)
        ]
        return schemas.ModelWithVersions(**_summary(model).model_dump(), all_versions=versions, promotions=promotions)

    return await services.quick.read(read)


@router.patch("/v1/models/{name}", summary="Describe a model")
async def describe(
    request: Request, services: CurrentServices, caller: OperateCaller, name: Name, body: schemas.ModelChange
) -> schemas.Model:
    """Change what people read about a model, or make it the one that calls mean which name none."""
    caller.need_model(name)
    if body.is_default:
        caller.need_all_models()

    def change(connection: Connection) -> schemas.Model:
        if body.description is not None:
            describe_model(connection, name, body.description)
        if body.is_default:
            set_default(connection, name)
        record(connection, request, caller, "model.change", name, after=body.model_dump(exclude_none=True))
        (model,) = list_models(connection, name)
        return _summary(model)

    return await _write(services, change)


@router.get("/v1/models/{name}/versions/{number}", summary="A model version")
async def read_version(
    services: CurrentServices, caller: ReadCaller, name: Name, number: Number
) -> schemas.ModelVersion:
    """A version with its signature, its classes and what is known of its file."""
    caller.need_model(name)
    return await services.quick.read(
        lambda connection: version_shape(connection, find_version(connection, name, number))
    )


@router.post("/v1/models/{name}/versions", status_code=201, summary="Register a file as a version")
async def register(
    request: Request, services: CurrentServices, caller: AdminCaller, name: Name, body: schemas.NewVersion
) -> schemas.Registered:
    """A worker opens the file, finds out what it takes, and tries it. The same file again is the same version.

    Opening runs code of the file, unless it is skops or ONNX: hence the admin key.
    """
    if not is_model_name(name):
        wrong = Sentence("a model's name begins with a letter and has no colon or slash", "invalid_model")
        raise Invalid(Flaw("/path/name", "invalid_model", wrong))
    source = None
    if body.source is not None:
        wanted = body.source
        source = await services.quick.read(lambda connection: read_source(connection, wanted, tells_others=True))
    asked = {
        **body.model_dump(mode="json", exclude={"source"}),
        "model": name,
        "owner": caller.owner,
        "source_id": None if source is None else source.id,
    }
    file = {"upload_id": str(body.upload_id), "file_name": body.file_name}
    # Before it is opened: a worker goes on with it, whether the caller waits or not.
    await services.quick.write(lambda connection: record(connection, request, caller, "model.ask", name, after=file))
    found = await services.errands.run("register_model", caller, asked, seconds=_REGISTER_SECONDS)

    def note(connection: Connection) -> schemas.Registered:
        version = get_version(connection, int(found["version_id"]))
        record(connection, request, caller, "model.register", version.label, after={"digest": version.digest})
        return schemas.Registered(
            version=version_shape(connection, version), findings=list(found.get("findings") or [])
        )

    return await services.quick.write(note)


@router.post("/v1/models/{name}/versions/{number}/check", summary="Check a version on real rows")
async def check(
    request: Request,
    services: CurrentServices,
    caller: OperateCaller,
    name: Name,
    number: Number,
    body: schemas.Check = CHECK,
) -> dict[str, Any]:
    """Score rows of its source in every way that the service goes, and beside the estimator itself."""
    caller.need_model(name)

    def note(connection: Connection) -> ModelVersion:
        version = find_version(connection, name, number)
        record(connection, request, caller, "model.check", version.label, after={"rows": body.rows})
        return version

    version = await services.quick.write(note)  # before it begins: code of the model runs, whatever comes of it
    asked = {"version_id": version.id, "rows": body.rows}
    report: dict[str, Any] = await services.errands.run("check_model", caller, asked)
    return report


@router.post("/v1/models/{name}/promote", summary="Make the newest version live")
async def promote_newest(
    request: Request, services: CurrentServices, caller: OperateCaller, name: Name, body: schemas.Promotion = NO_FORCE
) -> schemas.ModelVersion:
    """Make the newest checked version live. Accepted jobs keep theirs."""
    caller.need_model(name)
    return await _promote(request, services, caller, body, lambda connection: newest_checked(connection, name))


@router.post("/v1/models/{name}/versions/{number}/promote", summary="Make a version live")
async def promote(
    request: Request,
    services: CurrentServices,
    caller: OperateCaller,
    name: Name,
    number: Number,
    body: schemas.Promotion = NO_FORCE,
) -> schemas.ModelVersion:
    """Make a version live. Accepted jobs keep theirs. Refused where its source lacks what it needs."""
    caller.need_model(name)
    return await _promote(request, services, caller, body, lambda connection: find_version(connection, name, number))


@router.post("/v1/models/{name}/rollback", summary="Go back to the version before")
async def rollback(
    request: Request, services: CurrentServices, caller: OperateCaller, name: Name, body: schemas.Promotion = NO_FORCE
) -> schemas.ModelVersion:
    """Make the version live again that was live before the present one."""
    caller.need_model(name)
    return await _promote(request, services, caller, body, lambda connection: previous_version(connection, name))


@router.post("/v1/models/{name}/withdraw", summary="Take a model out of service")
async def withdraw(
    request: Request, services: CurrentServices, caller: OperateCaller, name: Name, body: schemas.Withdrawal
) -> schemas.ModelVersion:
    """Leave a model without a live version: new jobs of it are refused until one is promoted; accepted ones go on."""
    caller.need_model(name)

    def end(connection: Connection) -> schemas.ModelVersion:
        found = withdraw_model(connection, name)
        record(
            connection,
            request,
            caller,
            "model.withdraw",
            name,
            before={"live": found.label},
            after={"live": None},
            reason=body.reason,
        )
        return version_shape(connection, get_version(connection, found.id))

    return await _write(services, end)


@router.post("/v1/models/{name}/versions/{number}/retire", summary="Free the bytes of a version")
async def retire(
    request: Request, services: CurrentServices, caller: OperateCaller, name: Name, number: Number
) -> schemas.ModelVersion:
    """Forget the file of a version that is not live. What it answered stays readable; it can never be live again."""
    caller.need_model(name)

    def end(connection: Connection) -> schemas.ModelVersion:
        found = retire_version(connection, find_version(connection, name, number).id)
        record(connection, request, caller, "model.retire", found.label)
        return version_shape(connection, found)

    return await _write(services, end)


async def _promote(
    request: Request,
    services: Services,
    caller: Caller,
    body: schemas.Promotion,
    find: Callable[[Connection], ModelVersion],
) -> schemas.ModelVersion:
    def look(connection: Connection) -> ModelVersion:
        found = find(connection)
        check_promotion(connection, found, is_forced=body.force is not None)
        return found

    found = await services.quick.read(look)
    if body.force is None and not found.is_live:
        await services.warm_ups.run(found, caller)

    def make_live(connection: Connection) -> schemas.ModelVersion:
        # Once more: the source may have changed while the processes loaded the version.
        check_promotion(connection, found, is_forced=body.force is not None)
        before = _live_label(connection, found.model)
        reason = body.force or body.reason
        live = promote_version(connection, found.id, actor=caller.actor, reason=reason)
        record(
            connection,
            request,
            caller,
            "model.promote",
            live.model,
            before={"live": before},
            after={"live": live.label},
            reason=reason,
        )
        return version_shape(connection, live)

    return await _write(services, make_live)


def _live_label(connection: Connection, model: str) -> str | None:
    try:
        return live_version(connection, model).label
    except NoLiveModel:
        return None


async def _write(services: Services, change: Callable[[Connection], schemas.Answer]) -> schemas.Answer:
    answer = await services.quick.write(change)
    services.models.forget()
    return answer


def _summary(model: ModelSummary) -> schemas.Model:
    return schemas.Model.model_validate(model, from_attributes=True)
