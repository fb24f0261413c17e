"""For those who watch the service: probes, details and metrics. No key is needed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, text
from starlette.requests import Request
from starlette.responses import Response

from api.http import openapi
from api.http.direct_route import DirectRoute
from api.http.problems import DATABASE_AWAY
from api.http.requests import json_response
from api.server.services import Services, services_of
from shared.errors import DatabaseUnavailable, PredictqError, SchemaOutdated
from shared.models.registry import live_model
from shared.postgres.tables import SCHEMA_REVISION

router = APIRouter(tags=["health"], route_class=DirectRoute)


@router.get("/health/live", **openapi.LIVE)
async def live(_request: Request) -> Response:
    """The process is up and answers."""
    return json_response({"status": "ok"})


@router.get("/health/ready", **openapi.READY)
async def ready(request: Request) -> Response:
    """Whether jobs can be accepted. Without Redis they can: the sweeper delivers, only later (`degraded`)."""
    health = await _check(services_of(request))
    return json_response({"status": health["status"], "reasons": health["reasons"]}, _status_code(health))


@router.get("/health", **openapi.HEALTH)
async def health(request: Request) -> Response:
    """The same in detail, with what is waiting."""
    services = services_of(request)
    health = await _check(services)
    health["queues"] = {
        item.queue.value: {
            "queued_batches": item.queued_batches,
            "running_batches": item.running_batches,
            "waiting_rows": item.waiting_rows,
            "oldest_seconds": item.oldest_seconds,
        }
        for item in services.admission.backlog
    }
    health["open_waiters"] = services.waiting.open
    return json_response(health, _status_code(health))


@router.get("/metrics", **openapi.METRICS)
async def metrics(request: Request) -> Response:
    """Prometheus metrics of this process."""
    content = services_of(request).metrics.render()
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


def _status_code(health: dict[str, Any]) -> int:
    return 503 if health["status"] == "unavailable" else 200


async def _check(services: Services) -> dict[str, Any]:
    reasons = []
    version = None
    try:
        version = await services.quick.read(_check_database)
    except DatabaseUnavailable as error:
        services.outage_log.note(error, path="/health")
        reasons.append(DATABASE_AWAY)
    except PredictqError as error:
        reasons.append(str(error))
    status = "unavailable" if reasons else "ok"
    redis = services.notices.is_subscribed and services.publisher.is_healthy
    if not redis:
        reasons.append("Redis does not answer: jobs are accepted, and delivered by the sweeper")
        status = status if status == "unavailable" else "degraded"
    return {"status": status, "reasons": reasons, "live_model_version": version, "redis": "ok" if redis else "away"}


def _check_database(connection: Connection) -> int:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        raise SchemaOutdated(None, SCHEMA_REVISION)
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found != SCHEMA_REVISION:
        raise SchemaOutdated(found, SCHEMA_REVISION)
    return live_model(connection).version
