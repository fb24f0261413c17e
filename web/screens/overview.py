"""The first screen: is it running, how far, and what needs a person?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from web.charts.areas import sparkline
from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.first_steps import first_steps
from web.screens.health import read_health
from web.screens.last_hour import LastHour, read_last_hour
from web.words.concerns import say_concern
from web.words.statuses import is_held

routes = ScreenRoutes()

_JOBS = 8
_COUNTED = 50  # jobs of a state; more are not counted
_STATES = ("running", "queued", "failed")
_NOT_FOR_THEM = (403, 404)  # somebody may not see it: the rest is shown all the same


@dataclass(frozen=True, slots=True)
class PauseWish:
    """What the form that pauses work says, and why it was refused."""

    queue: str = ""
    model: str = ""
    reason: str = ""
    refusal: str = ""
    is_of_model: bool = False  # whether the refusal is of that field


@routes.get("/")
async def overview(screen: Screen) -> Response:
    """What happens now, what happened in the last hour, and what needs somebody."""
    return await show_overview(screen, PauseWish())


async def show_overview(screen: Screen, wish: PauseWish) -> Response:
    """The screen, with what was said so far of a pause."""
    jobs, health, samples, workers, attention, pauses = await asyncio.gather(
        _jobs(screen),
        read_health(screen),
        _if_allowed(screen, "/v1/samples"),
        _if_allowed(screen, "/v1/workers"),
        _if_allowed(screen, "/v1/attention"),
        _if_allowed(screen, "/v1/pauses"),
    )
    queues = health.get("queues", {})
    hour = read_last_hour(samples)
    held = [] if pauses is None else pauses["pauses"]
    rate = None if workers is None else sum(worker["rows_per_second"] or 0.0 for worker in workers["workers"])
    return await screen.show(
        "overview.html",
        status=422 if wish.refusal else 200,
        first=None if jobs.shown else await first_steps(screen),
        wish=wish,
        now=datetime.now(UTC).isoformat(),
        jobs=jobs.shown,
        counts={status: _count(len(found)) for status, found in jobs.by_status.items()},
        held_counts={
            status: _count(sum(is_held(job, held) for job in found)) if held else "0"
            for status, found in jobs.by_status.items()
        },
        per_minute=None if samples is None else hour.now,
        per_second=None if rate is None else round(rate),
        waiting=sum(queue["waiting_rows"] for queue in queues.values()),
        waits=list(_waits(queues, rate or 0.0, held)),
        oldest=max((queue["oldest_seconds"] for queue in queues.values()), default=0.0),
        queues=queues,
        hour=hour,
        has_samples=samples is not None,
        chart=_chart(screen, hour),
        sparkline=sparkline,
        workers=None if workers is None else workers["workers"],
        needs=None if attention is None else [_said(screen, need) for need in attention["needs"]],
        pauses=held,
        models=sorted({job["model"] for job in jobs.shown} | set(hour.models)),
    )


@dataclass(frozen=True, slots=True)
class _Jobs:
    """What is shown of jobs: bulk ones, open ones first, and those of some states, to be counted."""

    shown: list[dict[str, Any]]
    by_status: dict[str, list[dict[str, Any]]]  # the newest of some states; nothing where jobs may not be seen


def _count(jobs: int) -> str:
    """How many there are; "50+" where there are more than were read."""
    return f"{_COUNTED}+" if jobs > _COUNTED else str(jobs)


async def _jobs(screen: Screen) -> _Jobs:
    """One list after the other: a key may ask for so many at a time, and somebody may have many screens open."""
    by_status: dict[str, list[dict[str, Any]]] = {}
    shown: list[dict[str, Any]] = []
    if not screen.signed_in.may("read"):
        return _Jobs(shown, by_status)
    for status in _STATES:
        found = (await screen.api.get("/v1/jobs", status=status, limit=_COUNTED + 1))["jobs"]
        by_status[status] = found
        bulk = [job for job in found if job["kind"] == "bulk"]
        if len(found) > _COUNTED and len(bulk) < _JOBS and status != "failed":  # many single ones hide them
            bulk = (await screen.api.get("/v1/jobs", kind="bulk", status=status, limit=_JOBS))["jobs"]
        shown += bulk if status != "failed" else []
    if len(shown) < _JOBS:
        known = {job["id"] for job in shown}
        newest = (await screen.api.get("/v1/jobs", kind="bulk", limit=_JOBS))["jobs"]
        shown += [job for job in newest if job["id"] not in known]
    return _Jobs(shown[:_JOBS], by_status)


@dataclass(frozen=True, slots=True)
class _Wait:
    """What waits in one queue, and for how long at the present rate; None where it is paused or nothing moves."""

    queue: str
    rows: int
    seconds: float | None
    is_paused: bool


def _waits(queues: Mapping[str, Any], rate: float, pauses: Sequence[Mapping[str, Any]]) -> Iterator[_Wait]:
    """Single predictions go first, so bulk rows wait for them, too. How many rows a plan will have nobody knows."""
    ahead = 0
    for name in ("interactive", "bulk", "plan"):
        rows = queues.get(name, {}).get("waiting_rows", 0)
        is_paused = any(pause["queue"] in (None, name) for pause in pauses)
        is_known = rate > 0 and not is_paused and name != "plan"
        if rows:
            yield _Wait(name, rows, (ahead + rows) / rate if is_known else None, is_paused)
        ahead += 0 if is_paused else rows


async def _if_allowed(screen: Screen, path: str) -> Any:
    try:
        return await screen.api.get(path)
    except ApiRefused as error:
        if error.status not in _NOT_FOR_THEM:
            raise
        return None


def _said(screen: Screen, need: dict[str, Any]) -> dict[str, Any]:
    words = say_concern(screen.language, need["code"], need["about"], need["detail"], need["advice"])
    if words.path == "/sources" and not screen.signed_in.may("admin"):
        words = replace(words, path="")  # that screen is for administrators
    return {"words": words, "since": need["since"]}


def _chart(screen: Screen, hour: LastHour) -> str:
    numbers = screen.language.numbers
    label = screen.say("Rows a minute over the last hour, by model: now %(now)s", now=numbers.whole(hour.now))
    return hour.chart(screen.language, label)
