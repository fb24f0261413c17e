"""Jobs as JSON."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from api.http.requests import Raw
from api.http.root_path import rooted
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import AskedFor, JobRecord
from shared.models.task import Task, class_name

POLL_SECONDS = b"1"  # what Retry-After advises while a job is not done


def job_json(job: JobRecord) -> dict[str, Any]:
    """The JSON form of a job, as `api.schemas.jobs.Job` describes it.

    A single one carries its request and its client, and its result or error once there is one. A bulk job carries an
    error where it failed as a whole, and `snapshots` where its rows were found in several readings.
    """
    path = rooted(f"/v1/jobs/{job.job_id}")
    body: dict[str, Any] = {
        "id": job.job_id,
        "kind": job.kind,
        "status": job.status,
        "request_counts": {
            "total": job.total,
            "succeeded": job.succeeded,
            "failed": job.failed,
            "cancelled": job.cancelled,
        },
        "model": job.model,
        "model_version": job.model_version,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "cancelled_at": job.cancelled_at,
        "links": {"self": path, "results": f"{path}/results", "cancel": f"{path}/cancel"},
    }
    if job.cancelled_by is not None:
        body["cancelled_by"] = job.cancelled_by
    if job.name is not None:
        body["name"] = job.name
    if job.deadline is not None:
        body["deadline"] = job.deadline
    if job.asked is not None:
        body["asked"] = _asked(job, job.asked)
    if job.request_id is not None:
        body["request_id"] = str(job.request_id)
        body |= _client(job)
        body["result"] = _result(job)
    if job.request_id is not None or job.error_code is not None:
        body["error"] = error_json(job.error_code, job.error_detail)
    if job.snapshots is not None and job.snapshots > 1:
        body["snapshots"] = job.snapshots
    return body


def _asked(job: JobRecord, asked: AskedFor) -> dict[str, Any]:
    """What a bulk job was asked for, and by whom."""
    said: dict[str, Any] = {"by": job.owner, "for": asked.what}
    if asked.where is not None:
        said["where"] = asked.where
    if asked.again_of is not None:
        said["job"] = asked.again_of
    return said


def bare(job: JobRecord) -> JobRecord:
    """The same job for whom may not read it: how it stands, and nothing of clients and their answers."""
    return replace(job, name=None, request_id=None, client_id=None, key=None, value=None, error_code=None, asked=None)


def error_json(code: str | None, detail: str | None) -> dict[str, Any] | None:
    """Why there is no answer; None where nothing went wrong."""
    return None if code is None else {"code": code, "detail": detail}


def _client(job: JobRecord) -> dict[str, Any]:
    """Who the answer is about: as the caller wrote it, and the canonical key where that differs."""
    return {"client_id": job.client_id} if job.key is None else {"client_id": job.client_id, "key": job.key}


def _result(job: JobRecord) -> dict[str, Any] | None:
    if job.value is None:
        return None
    result = {**_client(job), **answer_json(job), "model": job.model, "model_version": job.model_version}
    if job.unknown_categories:
        result["unknown_categories"] = job.unknown_categories
    return result


def answer_json(answer: JobRecord) -> dict[str, Any]:
    """What a model says of one client, by its task."""
    if answer.task is Task.REGRESSION:
        return {"value": answer.value}
    if answer.task is Task.BINARY:
        return {"probability": answer.value, "label": answer.label, "threshold": answer.threshold}
    probabilities = dict(zip(map(class_name, answer.classes or ()), answer.scores or (), strict=True))
    return {"probability": answer.value, "label": answer.label, "probabilities": probabilities}


def job_bytes(job: JobRecord) -> bytes:
    """A job as it goes over the wire."""
    return orjson.dumps(job_json(job))


_ACCEPTED = (
    b'{"id":"%(id)b","kind":"single","status":"queued",'
    b'"request_counts":{"total":1,"succeeded":0,"failed":0,"cancelled":0},'
    b'"model":%(model)b,"model_version":%(version)d,"created_at":%(created)b,"started_at":null,"finished_at":null,'
    b'"cancelled_at":null,"links":{"self":"%(path)b","results":"%(path)b/results","cancel":"%(path)b/cancel"},'
    b'"request_id":"%(request)b","client_id":%(client)b,"result":null,"error":null}'
)
_text = lru_cache(maxsize=256)(orjson.dumps)  # of names of models, and of the moment that a group of jobs has in common


def accepted_response(accepted: Accepted, client_id: Any) -> Raw:
    """What `job_response` gives of a single job that was accepted just now, without making a record of it first.

    Nearly every call is answered so, and the record took a tenth of all that the gateway does for it. `client_id` is
    what the caller wrote, where that is the key as it is shown by nature.
    """
    job_id = str(accepted.job_id)
    path = rooted(f"/v1/jobs/{job_id}").encode()
    body = _ACCEPTED % {
        b"id": job_id.encode(),
        b"model": _text(accepted.model),
        b"version": accepted.model_version,
        b"created": _text(accepted.created_at),
        b"path": path,
        b"request": str(accepted.request_id).encode(),
        b"client": orjson.dumps(client_id),
    }
    return Raw(body, 202, ((b"location", path), (b"retry-after", POLL_SECONDS)))


def job_response(job: JobRecord, waited: int, *, replayed: bool = False) -> Raw:
    """The answer to a call that made a job: 200 once nothing will change any more, 202 before.

    `waited` are the seconds that `Prefer: wait` asked for; 0 without it.
    """
    headers = [(b"location", rooted(f"/v1/jobs/{job.job_id}").encode())]
    if replayed:
        headers.append((b"idempotency-replayed", b"true"))
    if job.status.is_terminal and (waited or replayed):
        return Raw(job_bytes(job), 200, [*headers, *_applied(waited)])
    return Raw(job_bytes(job), 202, [*headers, (b"retry-after", POLL_SECONDS)])


def status_response(job: JobRecord, waited: int = 0) -> Raw:
    """The answer to a call that asks how a job stands: always 200, with advice when to ask again."""
    headers = _applied(waited) if job.status.is_terminal else [(b"retry-after", POLL_SECONDS)]
    return Raw(job_bytes(job), 200, headers)


def _applied(waited: int) -> list[tuple[bytes, bytes]]:
    return [(b"preference-applied", b"wait=%d" % waited)] if waited else []
