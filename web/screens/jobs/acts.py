"""What can be done to a job, or to all jobs that a filter names: cancel, repeat, retry the failed rows.

Each act shows first what will happen, in figures. What was shown is what is done: the jobs go with the form. Thousands
may be cancelled by a filter: then the filter goes with the form, and the moment at which it was shown.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused, known_uuid
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.jobs.known_acts import ACTS, OPEN, Act
from web.screens.jobs.listing import FILTERS, filter_of, for_api
from web.words.api_refusals import told_refusal
from web.words.catalogues import N_

routes = ScreenRoutes()

MOST = 50  # jobs of one act
_SHOWN = 10  # of those that are cancelled by a filter
_ANSWERED = ("succeeded", "failed", "cancelled")
_SECONDS = 3.0  # after which the rest is left for another press
_CANCEL_SECONDS = 50.0  # the same where thousands are cancelled
_PAGE_SECONDS = 60.0
_NOT_SHOWN = (403, 404)  # of a job that is another owner's, or whose reader may see none
_ALL = ("all", "yes")  # of an address without a filter
_CHOOSE = N_("The address names no job, or a filter that cannot be read. Choose jobs in the list first.")
_NOT_ASKED_FOR = N_("That is not what was asked for. Nothing was done.")


@routes.get("/acts/{act}")
async def look(screen: Screen) -> Response:
    """What the act would do: to the job `?job=`, to the jobs of the filter in the address, with `?all=yes` to all."""
    act, wanted = _act(screen), filter_of(screen)
    job_id = screen.query("job")
    if not job_id and not _is_plain(screen, wanted):
        return await _nothing_chosen(screen, act)
    if not job_id and _is_by_filter(screen, act):
        return await _look_at_filter(screen, act, datetime.now(UTC).isoformat())
    if job_id:
        try:
            jobs, has_more = [await screen.api.get(f"/v1/jobs/{known_uuid(job_id)}")], False
        except ApiRefused as error:
            if error.status not in _NOT_SHOWN or not _is_operators(screen, act):
                raise
            return await _look_at_others(screen, act, str(known_uuid(job_id)))
    else:
        jobs, has_more = await _matching(screen, act, wanted)
    fitting = [job for job in jobs if act.fits(job)]
    return await screen.show(
        "act.html",
        act=act,
        jobs=fitting,
        is_one=bool(job_id),
        has_more=has_more,
        count=len(fitting),
        typed=_to_type(fitting) if act.is_dangerous or len(fitting) > 1 else "",
        fields=_fields(fitting),
        rows=_rows(act, fitting),
        wrong="",
    )


@routes.post("/acts/{act}", seconds=_PAGE_SECONDS)
async def carry_out(screen: Screen) -> Response:
    """Do it to the jobs that were shown, one after the other; say what became of each."""
    act = _act(screen)
    if screen.given("shown_at") and _is_by_filter(screen, act):
        return await _cancel_filter(screen, act)
    ids = [str(known_uuid(str(job_id))) for job_id in screen.form.getlist("job")[:MOST]]
    if (act.is_dangerous or screen.given("to_type")) and screen.given("typed") != screen.given("to_type"):
        if screen.given("others") and len(ids) == 1:
            return await _look_at_others(screen, act, ids[0], wrong=screen.say(_NOT_ASKED_FOR))
        return await _again(screen, act, ids)
    done: list[dict[str, Any]] = []
    refused: list[tuple[str, str]] = []
    ends_at = time.monotonic() + _SECONDS
    for job_id in ids:
        if time.monotonic() > ends_at:
            break
        # By the job: whoever goes on with those that are left, or sends the form again, repeats none.
        key = f"{screen.given('nonce')[:40]}-{job_id}" if act.name != "cancel" else ""
        try:
            headers = {"idempotency_key": key} if key else {}
            done.append(await screen.api.post(f"/v1/jobs/{job_id}/{act.name}", None, **headers))
        except ApiRefused as error:
            refused.append((job_id, told_refusal(screen.language, error.problem)))
    if screen.given("others"):
        return await screen.show("act_done.html", act=act, count=len(done), jobs=[], refused=refused, left=0, fields=[])
    if len(ids) == len(done) == 1:
        return screen.go(f"/jobs/{done[0]['id']}")
    left = ids[len(done) + len(refused) :]
    fields = [("nonce", screen.given("nonce")), *(("job", job_id) for job_id in left)]
    return await screen.show(
        "act_done.html", act=act, count=len(done), jobs=done, refused=refused, left=len(left), fields=fields
    )


async def _again(screen: Screen, act: Act, ids: list[str]) -> Response:
    """The form once more, because what was typed is not what it asked for."""
    jobs = await asyncio.gather(*(screen.api.get(f"/v1/jobs/{job_id}") for job_id in ids))
    fitting = [job for job in jobs if act.fits(job)]
    return await screen.show(
        "act.html",
        status=422,
        act=act,
        jobs=fitting,
        is_one=len(ids) == 1,
        has_more=False,
        count=len(fitting),
        typed=_to_type(fitting),
        fields=_fields(fitting),
        rows=_rows(act, fitting),
        wrong=screen.say(_NOT_ASKED_FOR),
    )


def _is_plain(screen: Screen, wanted: Mapping[str, str]) -> bool:
    """Whether the address says which jobs are meant: a part of a filter that is not understood would widen it."""
    given = {name for name in FILTERS if screen.query(name)}
    return given == set(wanted) and (bool(given) or screen.query(_ALL[0]) == _ALL[1])


async def _nothing_chosen(screen: Screen, act: Act) -> Response:
    return await screen.show(
        "act.html",
        status=422,
        act=act,
        jobs=[],
        is_one=False,
        has_more=False,
        count=0,
        wrong=screen.say(_CHOOSE),
    )


def _is_operators(screen: Screen, act: Act) -> bool:
    """Whether it may be done to jobs of others, which are not shown: by whoever operates the service."""
    return act.name == "cancel" and screen.signed_in.may("operate")


async def _look_at_others(screen: Screen, act: Act, job_id: str, *, wrong: str = "") -> Response:
    """The form for a job of another owner, of which nothing is known here but its id."""
    return await screen.show(
        "act.html",
        status=422 if wrong else 200,
        act=act,
        jobs=[],
        is_one=True,
        has_more=False,
        count=1,
        typed=job_id[:8],
        fields=[("others", "yes"), ("job", job_id)],
        rows=None,
        wrong=wrong,
    )


def _is_by_filter(screen: Screen, act: Act) -> bool:
    """Whether jobs of a filter are cancelled by one call, which not everybody may make who may cancel one job."""
    return act.name == "cancel" and screen.signed_in.may("predict", "bulk")


async def _look_at_filter(screen: Screen, act: Act, shown_at: str, *, wrong: str = "") -> Response:
    """How many open jobs of the filter there are, and the newest of them."""
    wanted = filter_of(screen)
    jobs: list[dict[str, Any]] = []
    found = {"matching": 0, "more": False}
    if wanted.get("status", "queued") in OPEN:
        found = await screen.api.post("/v1/jobs/cancel", {**_order(screen, shown_at), "dry_run": True})
        jobs, _ = await _matching(screen, act, wanted, most=_SHOWN)
    count = max(found["matching"], len(jobs))
    return await screen.show(
        "act.html",
        status=422 if wrong else 200,
        act=act,
        jobs=jobs,
        is_one=False,
        has_more=found["more"],
        count=count,
        typed=str(count),
        fields=[("shown_at", shown_at), *wanted.items()],
        rows=None,
        wrong=wrong,
    )


async def _cancel_filter(screen: Screen, act: Act) -> Response:
    """Cancel all that was shown, however many calls that takes."""
    shown_at = screen.given("shown_at")
    if screen.given("typed") != screen.given("to_type"):
        return await _look_at_filter(screen, act, shown_at, wrong=screen.say(_NOT_ASKED_FOR))
    ends_at = time.monotonic() + _CANCEL_SECONDS
    count, has_more = 0, True
    while has_more and time.monotonic() < ends_at:
        found = await screen.api.post("/v1/jobs/cancel", _order(screen, shown_at))
        count, has_more = count + found["cancelled"], found["more"]
    fields = [("shown_at", shown_at), *filter_of(screen).items()]
    return await screen.show(
        "act_done.html", act=act, count=count, jobs=[], refused=[], left=int(has_more), fields=fields
    )


def _order(screen: Screen, shown_at: str) -> dict[str, str]:
    """The filter for the API; jobs that were accepted after it was shown are none of it."""
    wanted = for_api(screen, filter_of(screen))
    moments = [moment for moment in (wanted.get("until"), shown_at) if moment]
    return {**wanted, "until": min(moments, key=screen.time)}


async def _matching(
    screen: Screen, act: Act, wanted: dict[str, str], most: int = MOST
) -> tuple[list[dict[str, Any]], bool]:
    """The newest jobs of the filter to which the act can be done; whether there may be more."""
    fitting: list[dict[str, Any]] = []
    ends_at = time.monotonic() + _SECONDS
    for status in _statuses(act, wanted):
        cursor: str | None = None
        while True:
            asked = for_api(screen, {**wanted, "status": status})
            found = await screen.api.get("/v1/jobs", limit=200, cursor=cursor, **asked)
            fitting += [job for job in found["jobs"] if act.fits(job)]
            cursor = found["next"]
            if len(fitting) > most or time.monotonic() > ends_at:
                return fitting[:most], cursor is not None or len(fitting) > most
            if cursor is None:
                break
    return fitting, False


def _statuses(act: Act, wanted: Mapping[str, str]) -> Sequence[str]:
    """What to list one after the other. Open jobs are found by their status, and not among all that have ended."""
    given = wanted.get("status", "")
    if act.name != "cancel":
        return (given,)
    return [status for status in OPEN if given in ("", status)]


def _fields(jobs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What a form carries so that what was shown is what is done, and done once."""
    return [("nonce", secrets.token_hex(8)), *(("job", job["id"]) for job in jobs)]


def _act(screen: Screen) -> Act:
    act = ACTS.get(screen.path("act"))
    if act is None:
        raise ApiRefused(404, {})
    return act


def _rows(act: Act, jobs: list[dict[str, Any]]) -> int:
    """The rows that the act is about."""
    counts = [job["request_counts"] for job in jobs]
    if act.name == "retry":
        return sum(int(count["failed"]) for count in counts)
    total = sum(int(count["total"] or 0) for count in counts)
    if act.name == "repeat":
        return total
    return total - sum(int(count[name]) for count in counts if count["total"] for name in _ANSWERED)


def _to_type(jobs: list[dict[str, Any]]) -> str:
    """What must be typed: the beginning of the one job's id, or how many jobs there are."""
    return jobs[0]["id"][:8] if len(jobs) == 1 else str(len(jobs))
