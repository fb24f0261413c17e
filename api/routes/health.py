"""For those who watch the service: probes and details, which need no key, and metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from sqlalchemy import Connection, text
from starlette.responses import Response

from api.access.dependencies import CurrentServices
from api.access.onlookers import require_onlooker
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.schemas import health as schemas
from api.server.services import Services
from api.watch.own_concerns import redis_trouble
from api.watch.stall_watch import OLD_SECONDS
from shared.errors import DatabaseFull, DatabaseReadOnly, DatabaseUnavailable, NoLiveModel, SchemaOutdated
from shared.messaging.redis_trouble import RedisTrouble
from shared.models.model_list import list_models
from shared.postgres.schema import SCHEMA_REVISION, VERSION_TABLE
from shared.watching.attention import Concern
from shared.watching.upkeep import span_of, upkeep_troubles

router = APIRouter(tags=["health"], route_class=ModelRoute)

_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"model": schemas.Readiness}}
_FAILURES = {
    Concern.FAILING: "Batches were tried and failed",
    Concern.UNLOADABLE: "Batches wait that no worker which is alive can load",
}


@router.get("/health/live", summary="Is the process up?")
async def live() -> schemas.Liveness:
    """The process is up and answers."""
    return schemas.Liveness(status="ok")


@router.get("/health/ready", summary="Can jobs be accepted?", responses=_UNAVAILABLE)
async def ready(services: CurrentServices, response: Response) -> schemas.Readiness:
    """Whether jobs can be accepted. Without Redis they can, and wait until it takes messages (`degraded`)."""
    found = await _check(services)
    response.status_code = _status_code(found)
    return schemas.Readiness(status=found.status, reasons=found.reasons)


@router.get("/health", summary="Health in detail", responses={503: {"model": schemas.Health}})
async def health(services: CurrentServices, response: Response) -> schemas.Health:
    """The same in detail, with what is waiting."""
    found = await _check(services)
    response.status_code = _status_code(found)
    return found


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse, responses=PROBLEMS)
async def metrics(request: Request, services: CurrentServices) -> Response:
    """Prometheus metrics of this process: with a key, from this machine, or for all if PREDICTQ_METRICS_OPEN is set."""
    await require_onlooker(request)
    content = await services.metrics.rendered()
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


def _status_code(found: schemas.Readiness) -> int:
    return 503 if found.status == "unavailable" else 200


async def _check(services: Services) -> schemas.Health:
    status: Literal["ok", "degraded", "unavailable"] = "ok"
    reasons: list[str] = []
    redis = redis_trouble(services.publisher, services.notices)
    if redis is None and not services.notices.is_subscribed:  # as in the first moments
        redis = RedisTrouble.AWAY
    if redis is not None:
        status = "degraded"
        reasons.append(redis.words[0])
    for reason in _warnings(services):
        status = "degraded"
        reasons.append(reason)
    try:
        if not await services.quick.read(_is_any_live):  # worth a note: the service itself is as it should be
            reasons.append(str(NoLiveModel()))
    except (DatabaseUnavailable, SchemaOutdated) as error:
        status = "unavailable"
        reasons.insert(0, _why_unavailable(services, error))
    if services.outage_log.full_since is not None and status != "unavailable":
        status = "unavailable"
        reasons.insert(0, DatabaseFull.for_callers.removesuffix("."))
    return schemas.Health(
        status=status,
        reasons=reasons,
        redis="ok" if redis is None else redis.value,
        queues={
            item.queue.value: schemas.QueueHealth.model_validate(item, from_attributes=True)
            for item in services.admission.backlog
        },
        open_waiters=services.waiting.open,
        background={
            name: schemas.BackgroundHealth(well=task.is_well, failures=task.failures)
            for name, task in services.background.items()
        },
    )


def _warnings(services: Services) -> Iterator[str]:
    """What is not as it should be, though jobs can be accepted."""
    watch = services.stall_watch
    if watch.age_seconds > OLD_SECONDS:
        yield f"Whether work stands still is not known: the last look was {watch.age_seconds:.0f} s ago"
    for stall in services.stall_watch.stalls:
        yield f"{stall.words}: predictq doctor tells more"
    for failure in services.stall_watch.failing_batches:
        yield f"{_FAILURES[failure.code]} ({failure.about['batches']:,}): predictq doctor tells more"
    troubles = upkeep_troubles(services.stall_watch.duties) if services.stall_watch.duties else None
    if troubles is not None:
        yield _upkeep_words(troubles)
    for name, task in services.background.items():
        if not task.is_well:
            yield f"The background task {name} has failed and was started again: the log tells why"


def _upkeep_words(troubles: Mapping[str, Any]) -> str:
    """Without the reasons, which may name directories: no key is needed to read this."""
    if troubles["silent_seconds"] is not None:
        return f"The upkeep has not run for {span_of(troubles['silent_seconds'])}: predictq doctor tells more"
    names = ", ".join({**troubles["late"], **troubles["failing"]})
    return f"The upkeep is late with a duty, or one fails ({names}): predictq doctor tells more"


def _why_unavailable(services: Services, error: DatabaseUnavailable | SchemaOutdated) -> str:
    if isinstance(error, SchemaOutdated):
        return str(error)
    services.outage_log.note(error, path="/health")
    return error.for_callers.removesuffix(".")


def _is_any_live(connection: Connection) -> bool:
    """Whether a model has a live version. Raises DatabaseReadOnly or SchemaOutdated where jobs cannot be accepted."""
    if connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on":
        connection.invalidate()  # the next look is over a new one: what is at its end may take writes by then
        raise DatabaseReadOnly(RuntimeError())
    if connection.execute(text(f"SELECT to_regclass('{VERSION_TABLE}')")).scalar_one() is None:
        raise SchemaOutdated(None, SCHEMA_REVISION)
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()
    if found != SCHEMA_REVISION:
        raise SchemaOutdated(found, SCHEMA_REVISION)
    return any(model.live_version is not None for model in list_models(connection))
