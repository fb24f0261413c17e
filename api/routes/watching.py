"""How the service is doing, in figures and in words: the last hours, and what needs a person."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from api.access.dependencies import CurrentServices, OperateCaller, ReadCaller
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.schemas import watching as schemas
from api.watch.own_concerns import own_concerns
from shared.sources.source import sources_of
from shared.watching.attention import NeedsPerson, read_attention
from shared.watching.attention_words import words_of
from shared.watching.samples import KEPT_HOURS, read_samples

router = APIRouter(tags=["workers"], route_class=ModelRoute, responses=PROBLEMS)


@router.get("/v1/samples", summary="The last hours in figures")
async def samples(
    services: CurrentServices,
    caller: ReadCaller,
    hours: Annotated[int, Query(ge=1, le=KEPT_HOURS, description="How far back.")] = 1,
) -> schemas.Samples:
    """What waited by queue, and what was answered by queue and model, at most 120 points each.

    Written down each minute by the upkeep process. Of models that your API key may not use nothing is shown.
    """
    step, found = await services.lists.read(lambda connection: read_samples(connection, hours), owner=caller.owner)
    series = [
        schemas.Series(
            name=one.name,
            queue=one.queue,
            model=one.model or None,
            points=[schemas.Point(at=at, value=value) for at, value in one.points],
        )
        for one in found
        if not one.model or caller.may_use(one.model)
    ]
    return schemas.Samples(step_seconds=step, series=series)


@router.get("/v1/attention", summary="What needs a person")
async def attention(services: CurrentServices, caller: OperateCaller) -> schemas.Attention:
    """No worker, batches that fail, wait for long or cannot be loaded, sources away or changed, the disk, pauses."""

    def read(connection: Connection) -> list[NeedsPerson]:
        found = read_attention(connection, services.settings)
        if caller.models is None:
            return found
        sources = sources_of(connection, caller.models)
        return [need for need in found if _concerns(need, caller.models, sources)]

    needs = []
    found = await services.lists.read(read, owner=caller.owner)
    for need in [*own_concerns(services.outage_log, services.publisher, services.notices), *found]:
        detail, advice = words_of(need)
        needs.append(
            schemas.NeedsPerson(code=need.code, since=need.since, about=dict(need.about), detail=detail, advice=advice)
        )
    return schemas.Attention(needs=needs)


def _concerns(need: NeedsPerson, models: Collection[str], sources: Collection[str]) -> bool:
    """Whether it is of one of these models, or else of one of these sources, which they read, or of the whole."""
    if (model := need.about.get("model")) is not None:
        return model in models
    source = need.about.get("source")
    return source is None or source in sources
