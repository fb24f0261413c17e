"""What /docs says of each call: parameters, bodies and answers, with examples to try by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from api.http import schemas
from api.http.problems import MEDIA_TYPE
from shared.status import JobStatus

# Named in the documents, never run: the routes ask `Auth` themselves.
BEARER = Security(
    HTTPBearer(scheme_name="API key", description="A key made by `predictq keys create`.", auto_error=False)
)

_Json = dict[str, Any]

_MEANINGS = {
    400: "The body cannot be read",
    401: "No key, or one that is not valid",
    403: "The key may not do that",
    404: "There is no such thing, or it belongs to somebody else",
    406: "None of the accepted media types can be given",
    408: "The upload fell silent",
    409: "Not now: try again in a moment",
    413: "Too large",
    415: "This media type is not understood",
    422: "The request is not valid; `errors` says where",
    429: "Your quota of waiting work is used up; see Retry-After",
    503: "Not now: too much work waits, PostgreSQL is away, or no model is live; see Retry-After",
}
_CREATING = (400, 401, 409, 413, 415, 422, 429, 503)


def _call(
    summary: str,
    answers: Mapping[int, type[BaseModel]],
    *,
    errors: tuple[int, ...] = (),
    parameters: list[_Json] | None = None,
    body: _Json | None = None,
    headers: _Json | None = None,
    more: Mapping[int, _Json] | None = None,
) -> _Json:
    """The keyword arguments of a route. The first of `answers` is the one that is expected."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemShape"}}}
    responses: dict[int, _Json] = {
        status: {"model": model, "description": (model.__doc__ or "").partition("\n")[0], "headers": headers or {}}
        for status, model in answers.items()
    }
    for status, extra in (more or {}).items():
        responses[status] = {**responses.get(status, {}), **extra}
    for status in errors:
        responses[status] = {"description": _MEANINGS[status], "content": problem}
    extra = {"parameters": parameters} if parameters else {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": body}
    return {
        "summary": summary,
        "status_code": next(iter(answers), 200),
        "responses": responses,
        "openapi_extra": extra,
        "response_model": None,
    }


def _parameter(place: str, name: str, description: str, schema: _Json, **more: Any) -> _Json:
    return {
        "in": place,
        "name": name,
        "description": description,
        "required": place == "path",
        "schema": schema,
        **more,
    }


def _schema(model: type[BaseModel]) -> _Json:
    return model.model_json_schema()


_JOB_ID = _parameter("path", "job_id", "The job.", {"type": "string", "format": "uuid"})
_PREFER = _parameter(
    "header",
    "Prefer",
    "`wait=N`: wait up to N seconds, at most 60, for the end of the job.",
    {"type": "string"},
    example="wait=10",
)
_KEY = _parameter(
    "header",
    "Idempotency-Key",
    "Makes it safe to repeat the call: the same key and payload give the same job.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)
_CURSOR = _parameter("query", "cursor", "Go on after a page: its `next`.", {"type": "string"})


def _limit(default: int, most: int) -> _Json:
    return _parameter(
        "query", "limit", "The most to give.", {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    )


def _header(description: str) -> _Json:
    return {"description": description, "schema": {"type": "string"}}


_JOB_HEADERS = {
    "Location": _header("The job."),
    "Retry-After": _header("Seconds after which to ask how the job stands; absent once it has ended."),
    "Preference-Applied": _header("`wait=N` where the end was waited for."),
    "Idempotency-Replayed": _header("`true` where the key was known: this is the earlier job."),
}
_CREATED = {202: schemas.Job, 200: schemas.Job}


def _example(summary: str, value: Any) -> _Json:
    return {"summary": summary, "value": value}


PREDICT = _call(
    "Predict for one client",
    _CREATED,
    errors=(*_CREATING, 404),
    parameters=[_PREFER, _KEY],
    headers=_JOB_HEADERS,
    body={"application/json": {"schema": _schema(schemas.PredictBody), "example": {"client_id": 5}}},
)

# Words and booleans have to be given, numbers may be left out: this call works as it stands on the sample model.
_RAW = {
    "features": {
        "age": 41,
        "business_travel": "Travel_Rarely",
        "department": "Sales",
        "education_field": "Life Sciences",
        "gender": "Female",
        "job_role": "Sales Executive",
        "marital_status": "Single",
        "monthly_income": 5993,
        "over_time": True,
    }
}
PREDICT_RAW = _call(
    "Predict from features given here",
    _CREATED,
    errors=_CREATING,
    parameters=[_PREFER, _KEY],
    headers=_JOB_HEADERS,
    body={"application/json": {"schema": _schema(schemas.PredictRawBody), "example": _RAW}},
)

CREATE_JOB = _call(
    "Predict for many clients",
    _CREATED,
    errors=(*_CREATING, 408),
    parameters=[_PREFER, _KEY],
    headers=_JOB_HEADERS,
    body={
        "application/json": {
            "schema": {"oneOf": [_schema(item) for item in (schemas.JobByIds, schemas.JobByFilter, schemas.JobOfAll)]},
            "examples": {
                "ids": _example("Some clients", {"client_ids": [1, 2, 3]}),
                "filter": _example("By features", {"where": {"department": "Sales", "job_level": [1, 2]}}),
                "all": _example("All clients", {"all": True}),
            },
        },
        "text/csv": {"schema": {"type": "string"}, "example": "client_id\n1\n2\n3\n"},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"client_id": 1}\n{"client_id": 2}\n'},
    },
)

READ_JOB = _call(
    "How a job stands",
    {200: schemas.Job},
    errors=(401, 404, 503),
    parameters=[_JOB_ID, _PREFER],
    headers={name: _JOB_HEADERS[name] for name in ("Retry-After", "Preference-Applied")},
)

LIST_JOBS = _call(
    "Your jobs",
    {200: schemas.JobPage},
    errors=(401, 422, 503),
    parameters=[
        _limit(100, 1000),
        _CURSOR,
        _parameter("query", "status", "Only these.", {"type": "string", "enum": [item.value for item in JobStatus]}),
    ],
    headers={"Link": _header('The next page, as rel="next".')},
)

CANCEL_JOB = _call("Cancel a job", {200: schemas.Job}, errors=(401, 404, 503), parameters=[_JOB_ID])

_LINES = {"schema": {"type": "string"}}
RESULTS = _call(
    "The results of a job",
    {200: schemas.ResultPage},
    errors=(401, 404, 406, 409, 422, 503),
    parameters=[_JOB_ID, _limit(1000, 10_000), _CURSOR],
    headers={
        "X-Predictq-Complete": _header("`true` when these are all rows that there will be."),
        "Link": _header('The next page, as rel="next"; JSON only.'),
    },
    more={200: {"content": {"text/csv": _LINES, "application/x-ndjson": _LINES}}},
)

TRACE = _call(
    "The trace of a prediction",
    {200: schemas.Trace},
    errors=(401, 404, 503),
    parameters=[_parameter("path", "request_id", "The request_id of a row or a single job.", {"type": "integer"})],
)

_VERSION = _parameter("path", "version", "The model version.", {"type": "integer"})
MODELS = _call("All model versions", {200: schemas.ModelList}, errors=(401, 503))
MODEL = _call("A model version", {200: schemas.Model}, errors=(401, 404, 503), parameters=[_VERSION])
PROMOTE = _call("Make a model live", {200: schemas.Model}, errors=(401, 403, 404, 503), parameters=[_VERSION])

LIVE = _call("Is the process up?", {200: schemas.Liveness})
READY = _call("Can jobs be accepted?", {200: schemas.Readiness, 503: schemas.Readiness})
HEALTH = _call("Health in detail", {200: schemas.Health, 503: schemas.Health})
METRICS = {**_call("Prometheus metrics", {}), "response_class": PlainTextResponse}

PROBLEMS = _call("All kinds of problems", {200: schemas.ProblemKinds})
PROBLEM = _call(
    "A kind of problem",
    {200: schemas.ProblemKind},
    errors=(404,),
    parameters=[_parameter("path", "code", "The last part of a problem's `type`.", {"type": "string"})],
)


def openapi(app: FastAPI) -> _Json:
    """The whole document, made once."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
    )
    shapes = schemas.ProblemShape.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**shapes.pop("$defs"), "ProblemShape": shapes}
    return document
