"""What can be done to a job, or to all jobs that a filter names: cancel, repeat, retry the failed rows.

Each act shows first what will happen, in figures. What was shown is what is done: the jobs go with the form.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused, known_uuid
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.jobs.listing import filter_of, for_api
from web.words.api_refusals import told_refusal
from web.words.catalogues import N_

routes = ScreenRoutes()

MOST = 50  # jobs of one act
_ANSWERED = ("succeeded", "failed", "cancelled")
_SECONDS = 3.0  # after which the rest is left for another press


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done to a job."""

    name: str
    title: str
    title_many: str
    promise: str  # what happens, and what does not
    is_dangerous: bool = False

    def fits(self, job: dict[str, Any]) -> bool:
        """Whether it can be done to this job as it stands."""
        is_open = job["status"] in ("queued", "running")
        if self.name == "cancel":
            return is_open
        if job["kind"] != "bulk":
            return False
        return not is_open and bool(job["request_counts"]["failed"]) if self.name == "retry" else True


ACTS = {
    act.name: act
    for act in (
        Act(
            "cancel",
            N_("Cancel this job"),
            N_("Cancel these jobs"),
            N_("Rows that are not answered yet will not be. Answers that were given stay. This cannot be taken back."),
            is_dangerous=True,
        ),
        Act(
            "repeat",
            N_("Ask the same again"),
            N_("Ask the same again"),
            N_("A new job for each, of the same filter or the same clients, by the version that is live now."),
        ),
        Act(
            "retry",
            N_("Retry the failed rows"),
            N_("Retry the failed rows"),
            N_("A new job for each, of its rows that have an error. The jobs shown here stay as they are."),
        ),
    )
}


@routes.get("/acts/{act}")
async def look(screen: Screen) -> Response:
    """What the act would do: to the job `?job=`, else to the jobs of the filter in the address."""
    act, wanted = _act(screen), filter_of(screen)
    job_id = screen.query("job")
    if job_id:
        jobs, has_more = [await screen.api.get(f"/v1/jobs/{known_uuid(job_id)}")], False
    else:
        jobs, has_more = await _matching(screen, act, wanted)
    fitting = [job for job in jobs if act.fits(job)]
    return screen.show(
        "act.html",
        act=act,
        jobs=fitting,
        is_one=bool(job_id),
        has_more=has_more,
        typed=_to_type(fitting) if act.is_dangerous else "",
        nonce=secrets.token_hex(8),
        rows=_rows(act, fitting),
        wrong="",
    )


@routes.post("/acts/{act}")
async def carry_out(screen: Screen) -> Response:
    """Do it to the jobs that were shown, one after the other; say what became of each."""
    act = _act(screen)
    ids = [str(known_uuid(str(job_id))) for job_id in screen.form.getlist("job")[:MOST]]
    if act.is_dangerous and screen.given("typed") != screen.given("to_type"):
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
    if len(ids) == len(done) == 1:
        return screen.go(f"/jobs/{done[0]['id']}")
    left = ids[len(done) + len(refused) :]
    return screen.show("act_done.html", act=act, done=done, refused=refused, left=left, nonce=screen.given("nonce"))


async def _again(screen: Screen, act: Act, ids: list[str]) -> Response:
    """The form once more, because what was typed is not what it asked for."""
    jobs = await asyncio.gather(*(screen.api.get(f"/v1/jobs/{job_id}") for job_id in ids))
    fitting = [job for job in jobs if act.fits(job)]
    return screen.show(
        "act.html",
        status=422,
        act=act,
        jobs=fitting,
        is_one=len(ids) == 1,
        has_more=False,
        typed=_to_type(fitting),
        nonce=secrets.token_hex(8),
        rows=_rows(act, fitting),
        wrong=screen.say("That is not what was asked for. Nothing was done."),
    )


async def _matching(screen: Screen, act: Act, wanted: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """The newest jobs of the filter to which the act can be done."""
    fitting: list[dict[str, Any]] = []
    cursor: str | None = None
    ends_at = time.monotonic() + _SECONDS
    while True:
        found = await screen.api.get("/v1/jobs", limit=200, cursor=cursor, **for_api(screen, wanted))
        fitting += [job for job in found["jobs"] if act.fits(job)]
        cursor = found["next"]
        if cursor is None or len(fitting) > MOST or time.monotonic() > ends_at:
            return fitting[:MOST], cursor is not None or len(fitting) > MOST


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
