"""One job: how far it is, what it answered, what failed and why, and who did it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from web.charts.counts import count_bar
from web.charts.histogram import Words, histogram
from web.charts.strip import strip
from web.frame.api_calls import ApiRefused, known_uuid, path_part
from web.frame.passing import PassedOn
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.health import read_health
from web.screens.pauses import read_pauses
from web.words.catalogues import N_

routes = ScreenRoutes()

_ROWS = 20
_SUMMARY_SECONDS = 2.0  # of the five that the whole page has
_CHART = N_("%(answers)s answers: %(above)s at or above the threshold of %(threshold)s")
_VALUES = N_("%(answers)s answers, from %(low)s to %(high)s")


@routes.get("/jobs/{job_id}")
async def job(screen: Screen) -> Response:
    """Everything that is known of the job."""
    job_id = known_uuid(screen.path("job_id"))
    found = await screen.api.get(f"/v1/jobs/{job_id}")
    if found["kind"] == "single":
        return await screen.show("job_single.html", job=found)
    summary = await _summary(screen, job_id)
    strip_parts = summary["strip"] if summary else []
    only_errors = screen.query("errors") == "only"
    page = await _rows(screen, job_id, only_errors=only_errors)
    return await screen.show(
        "job.html",
        job=found,
        summary=summary,
        rows=page["rows"],
        has_value=bool(page["rows"]) and await _task(screen, found, summary) == "regression",
        following=page["next"] if len(page["rows"]) == _ROWS else None,  # of a job that runs there is always a next
        only_errors=only_errors,
        is_first=not screen.query("cursor"),
        chart=_chart(screen, summary["spread"]) if summary else "",
        threshold_said=_threshold_said(screen, summary["spread"]) if summary else "",
        strip=strip(strip_parts, [_part_title(screen, part) for part in strip_parts]),
        count_bar=count_bar,
        parts_of={name: sum(part[name] for part in strip_parts) for name in ("done", "running", "waiting", "failed")},
        is_open=found["status"] in ("queued", "running"),
        **await _why_it_waits(screen, found),
    )


@routes.get("/jobs/{job_id}/answers.csv")
async def download(screen: Screen) -> Response:
    """All answers there are as a file; with `?errors=`, the rows with an error, or with that one."""
    errors = screen.query("errors")
    query = urlencode({"errors": errors}) if errors else ""
    return PassedOn(screen, f"/v1/jobs/{known_uuid(screen.path('job_id'))}/results", accept="text/csv", query=query)


async def _summary(screen: Screen, job_id: UUID) -> dict[str, Any] | None:
    """What the job has come to; None where that takes longer to read than the rest of the page should wait."""
    try:
        async with asyncio.timeout(_SUMMARY_SECONDS):
            found: dict[str, Any] = await screen.api.get(f"/v1/jobs/{job_id}/summary")
    except TimeoutError:  # it is read on, for whoever looks next
        return None
    except ApiRefused as error:
        if error.status != 503:
            raise
        return None
    return found


async def _task(screen: Screen, job: dict[str, Any], summary: dict[str, Any] | None) -> str:
    """What the model answers: its rows do not tell where all of them failed."""
    if summary:
        return str(summary["spread"]["task"])
    return str((await screen.api.get(f"/v1/models/{path_part(job['model'])}/versions/{job['model_version']}"))["task"])


async def _why_it_waits(screen: Screen, job: dict[str, Any]) -> dict[str, Any]:
    """Of a job that has not ended what holds it back, and of one that nobody has begun how much waits beside it."""
    if job["status"] not in ("queued", "running"):
        return {"held": [], "behind": 0}
    queues = ("plan", "bulk") if job["request_counts"]["total"] is None else ("bulk",)
    held = await read_pauses(screen, job["model"], queues)
    if held or job["status"] == "running":
        return {"held": held, "behind": 0}
    waiting = (await read_health(screen)).get("queues", {}).get("bulk", {}).get("waiting_rows", 0)
    return {"held": [], "behind": max(0, waiting - (job["request_counts"]["total"] or 0))}


async def _rows(screen: Screen, job_id: UUID, *, only_errors: bool) -> dict[str, Any]:
    """A page of the rows that can be read, and its `next`; no rows before the first batch has its answers."""
    asked = {"limit": _ROWS, "cursor": screen.query("cursor"), "errors": "only" if only_errors else None}
    try:
        page: dict[str, Any] = await screen.api.get(f"/v1/jobs/{job_id}/results", **asked)
    except ApiRefused as error:
        if error.code != "results-not-ready":
            raise
        return {"rows": [], "next": None}
    return page


def _chart(screen: Screen, spread: dict[str, Any]) -> str:
    """The histogram; empty where there is no answer, or where labels are counted."""
    if not spread["bins"]:
        return ""
    numbers, threshold, answers = screen.language.numbers, spread["threshold"], spread["answers"]
    if threshold is None:
        low, high = numbers.plain(spread["bins"][0]["low"]), numbers.plain(spread["bins"][-1]["high"])
        label = screen.say(_VALUES, answers=numbers.whole(answers), low=low, high=high)
    else:
        label = screen.say(_CHART, answers=numbers.whole(answers), **_of_threshold(screen, spread))
    across = screen.say("probability") if spread["task"] == "binary" else screen.say("value")
    return histogram(
        spread["bins"],
        Words(label, across, screen.say("answers"), screen.say("threshold")),
        write=lambda tick: numbers.plain(tick, 4 if threshold is None else 2),
        count=numbers.short,
        threshold=threshold,
    )


def _part_title(screen: Screen, part: dict[str, Any]) -> str:
    """Which batches a cell of the strip stands for, when they were done, by whom, and how many rows have an error."""
    language = screen.language
    first, last = part["first_batch"], part["last_batch"]
    begun, ended = ("…" if at is None else language.moments.second(screen.time(at)) for at in _times(part))
    said = [str(first) if first == last else f"{first} – {last}"]
    said += [f"{begun} – {ended}"] if part["first_at"] else []
    said += [", ".join(part["workers"]) + (" …" if part["worker_count"] > len(part["workers"]) else "")]
    if part["failed_rows"]:
        said += [language.say_count("%(count)s row with an error", "%(count)s rows with an error", part["failed_rows"])]
    return " · ".join(text for text in said if text)


def _times(part: dict[str, Any]) -> tuple[str | None, str | None]:
    """When a part was begun, and when it ended; None while batches of it are open."""
    return part["first_at"], None if part["running"] or part["waiting"] else part["last_at"]


def _threshold_said(screen: Screen, spread: dict[str, Any]) -> str:
    """Where the threshold is and how much lies above; empty where there is none."""
    if not spread["bins"] or spread["threshold"] is None:
        return ""
    return screen.say("threshold %(threshold)s · %(above)s at or above", **_of_threshold(screen, spread))


def _of_threshold(screen: Screen, spread: dict[str, Any]) -> dict[str, str]:
    numbers = screen.language.numbers
    return {
        "threshold": numbers.plain(spread["threshold"]),  # an answer's own page has every digit of it
        "above": numbers.share(spread["above"], spread["answers"]),
    }
