"""What /docs says of the direct routes, by hand: parameters, bodies and answers. Model routes say it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from api.http import answer_examples
from api.http.problems import MEDIA_TYPE
from api.http.root_path import rooted
from api.schemas import jobs as schemas
from api.schemas.base import LONGEST_MODEL_NAME

API_KEY = HTTPBearer(scheme_name="API key", description="A key made by `predictq keys create`.", auto_error=False)
BEARER = Security(API_KEY)  # for direct routes: named in the documents, never run, as these ask `Auth` themselves

_Json = dict[str, Any]

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemShape"}}}
# What a router of model routes says of errors, once for all of them.
PROBLEMS: dict[int | str, _Json] = {
    "4XX": {"description": "What is wrong with the call", "content": _PROBLEM},
    "5XX": {"description": "Not now, or a fault of the service", "content": _PROBLEM},
}

# What the routes of events answer: no JSON, but a stream of it.
EVENTS: dict[int | str, _Json] = {
    200: {
        "description": "Events: `id` is the number of the state, `data` the job as JSON",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The job has ended, and the caller has seen its end"},
}

_MEANINGS = {
    400: "The body cannot be read",
    401: "No key, or one that is not valid",
    403: "The key may not do that",
    404: "There is no such thing, or it belongs to somebody else",
    406: "None of the accepted media types can be given",
    408: "The request came too slowly",
    409: "Not now: try again in a moment",
    410: "The job was of a client who has been erased, or one of its clients was",
    413: "Too large",
    414: "The address is too long",
    415: "This media type is not understood",
    421: "The API does not answer by this name",
    422: "The request is not valid; `errors` says where",
    429: "Your quota of waiting work is used up, or too much is open at a time; see Retry-After",
    431: "The headers are too large",
    503: "Not now: too much work waits, PostgreSQL is away, or no model is live; see Retry-After",
}
_EVERY_CALL = (400, 408, 414, 421, 431)  # refused before a route is asked
_CREATING = (400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 503)


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
    responses: dict[int, _Json] = {
        status: {"model": model, "description": (model.__doc__ or "").partition("\n")[0], "headers": headers or {}}
        for status, model in answers.items()
    }
    for status, extra in (more or {}).items():
        responses[status] = {**responses.get(status, {}), **extra}
    for status in sorted({*errors, *_EVERY_CALL}):
        responses[status] = {"description": _MEANINGS[status], "content": _PROBLEM}
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


_ERRORS = _parameter(
    "query",
    "errors",
    "Only rows with an error: `only`, or the code of one.",
    {"type": "string", "pattern": "^[a-z][a-z_]{0,59}$"},
    example="unknown_client",
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
    errors=_CREATING,
    parameters=[_PREFER, _KEY],
    headers=_JOB_HEADERS,
    body={"application/json": {"schema": _schema(schemas.PredictBody), "example": {"client_id": 5}}},
)

_FEATURES = {"tenure": 41, "plan": "basic", "contract_year": 2021, "monthly_fee": 19.9, "has_app": True}
_RAW = {"model": "churn", "features": _FEATURES}
PREDICT_RAW = _call(
    "Predict from features given here",
    _CREATED,
    errors=_CREATING,
    parameters=[_PREFER, _KEY],
    headers=_JOB_HEADERS,
    body={"application/json": {"schema": _schema(schemas.PredictRawBody), "example": _RAW}},
)

_OF_UPLOADS = [
    _parameter(
        "query",
        "model",
        "Of an upload: the model; in JSON it stands in the body.",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_MODEL_NAME},
    ),
    _parameter("query", "name", "Of an upload: what you call the job.", {"type": "string", "maxLength": 200}),
    _parameter(
        "query", "deadline", "Of an upload: when it must be answered.", {"type": "string", "format": "date-time"}
    ),
    _parameter(
        "query",
        "features",
        "`upload`: its rows hold features and not only keys.",
        {"type": "string", "enum": ["upload"]},
    ),
    _parameter("query", "sheet", "Of a workbook that is sent: the sheet, where it has several.", {"type": "string"}),
]
CREATE_JOB = _call(
    "Predict for many clients",
    _CREATED,
    errors=_CREATING,
    parameters=[_PREFER, _KEY, *_OF_UPLOADS],
    headers=_JOB_HEADERS,
    body={
        "application/json": {
            "schema": {"oneOf": [_schema(item) for item in (schemas.JobByIds, schemas.JobByFilter, schemas.JobOfAll)]},
            "examples": {
                "ids": _example("Some clients", {"client_ids": [1, 2, 3]}),
                "filter": _example("By features", {"where": {"tariff": ["basic", "plus"], "tenure": {"gte": 12}}}),
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
    errors=(401, 403, 404, 429, 503),
    parameters=[_JOB_ID, _PREFER],
    headers={name: _JOB_HEADERS[name] for name in ("Retry-After", "Preference-Applied")},
)

_LINES = {"schema": {"type": "string"}}
RESULTS = _call(
    "The results of a job",
    {200: schemas.ResultPage},
    errors=(401, 403, 404, 406, 409, 422, 429, 503),
    parameters=[_JOB_ID, _limit(1000, 10_000), _CURSOR, _ERRORS],
    headers={
        "X-Predictq-Complete": _header("`true` when these are all rows that there will be."),
        "Link": _header('The next page, as rel="next"; JSON only.'),
    },
    more={200: {"content": {"text/csv": _LINES, "application/x-ndjson": _LINES}}},
)


def openapi(app: FastAPI) -> _Json:
    """The whole document, made once."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
    )
    for (method, path), examples in answer_examples.OF_CALLS.items():  # here, for FastAPI leaves out what is null
        document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["examples"] = examples
    if root := rooted(""):
        document["servers"] = [{"url": root}]
    shapes = schemas.ProblemShape.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**shapes.pop("$defs"), "ProblemShape": shapes}
    return document
