"""Following a job until it is finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cli.connection.client import FIRST_WAIT_SECONDS, WAIT_SECONDS, ApiClient, Json
from cli.errors import ExitStatus
from cli.output.console import remark
from cli.output.progress import progress

POLL_SECONDS = 0.3
TERMINAL = ("succeeded", "failed", "cancelled")


def done_rows(job: Json) -> int:
    """Rows of a job that need no more work."""
    counts = job["request_counts"]
    return int(counts["succeeded"] + counts["failed"] + counts["cancelled"])


def watch(client: ApiClient, job: Json, *, quiet: bool) -> Json:
    """Show a job's progress until it is finished; returns it as it ended. Whoever leaves is told that it goes on."""
    if not quiet and job["status"] not in TERMINAL:
        remark(f"following job {job['id']}")
    with _left_alone(job["id"]), progress(f"job {job['id']}", job["request_counts"]["total"], quiet=quiet) as meter:
        is_counting = job["request_counts"]["total"] is None
        if is_counting and not quiet:
            remark("counting: the rows are found while the first of them are scored")
        while job["status"] not in TERMINAL:
            meter(done_rows(job), job["request_counts"]["total"])
            time.sleep(POLL_SECONDS)
            job = client.job(job["id"])
        meter(done_rows(job), job["request_counts"]["total"])
    return job


def wait_for(client: ApiClient, job: Json, *, quiet: bool = False) -> Json:
    """Return a job when it is finished, as fast as its end is known; once it is said that it takes long.

    Whoever leaves is told that it goes on.
    """
    with _left_alone(job["id"]):
        return _ended(client, job, quiet=quiet)


@contextmanager
def _left_alone(job_id: str) -> Iterator[None]:
    """Ctrl-C ends the looking on, and not the job: what to type is said, also to a program that reads JSON."""
    try:
        yield
    except KeyboardInterrupt:
        remark(f"job {job_id} goes on; follow it: predictq job {job_id} --watch; stop it: predictq cancel {job_id}")
        raise


def _ended(client: ApiClient, job: Json, *, quiet: bool) -> Json:
    if not quiet and job["status"] not in TERMINAL:
        job = client.job(job["id"], wait_seconds=FIRST_WAIT_SECONDS)
        if job["status"] not in TERMINAL:
            remark(
                f"job {job['id']} still waits, as while a source does not answer; predictq doctor says what holds it"
            )
    while job["status"] not in TERMINAL:
        job = client.job(job["id"], wait_seconds=WAIT_SECONDS)
    return job


def read_summary(client: ApiClient, job: Json) -> Json | None:
    """What a bulk job with answers or errors has come to; None of any other, which says itself how it stands."""
    counts = job["request_counts"]
    if job["kind"] != "bulk" or not counts["failed"] + counts["succeeded"]:
        return None
    return client.call("GET", f"/v1/jobs/{job['id']}/summary")


def exit_status(job: Json) -> ExitStatus:
    """What a command that waited for `job` ends with."""
    return ExitStatus.NOT_SUCCEEDED if job["status"] in ("failed", "cancelled") else ExitStatus.DONE
