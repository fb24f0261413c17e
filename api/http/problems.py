"""Errors as RFC 9457 problem+json: the one module that knows which error is which HTTP status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from errno import ENOSPC
from http import HTTPStatus
from typing import Any

import orjson
from sqlalchemy.exc import ProgrammingError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.oidc.fetch import ProviderAway
from shared import errors, pauses
from shared.access import api_keys
from shared.erasure import errors as erasure
from shared.retention.rules import errors as retention
from shared.sentences import members_of, sentence_of
from shared.sources import errors as sources
from shared.sources import row_files

MEDIA_TYPE = "application/problem+json"
MOST_FLAWS = 20  # named in one answer: enough to see the pattern
_LONGEST = 1000  # characters of a text that may quote what the caller sent


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem; served as documentation under /problems/{code}.

    Without a code it says no more than its status does, and is nowhere explained.
    """

    code: str
    status: int
    title: str
    retry_after: int | None = None  # seconds

    @property
    def type(self) -> str:
        """Its name on the wire, which is the path of its documentation."""
        return f"/problems/{self.code}" if self.code else "about:blank"


INVALID = Kind("invalid-request", 422, "The request is not valid")
MALFORMED = Kind("malformed-body", 400, "The body cannot be read")
UNAUTHORISED = Kind("unauthorised", 401, "A valid API key is needed")
FORBIDDEN = Kind("forbidden", 403, "You may not do that")
NOT_FOUND = Kind("not-found", 404, "There is nothing here")
METHOD = Kind("method-not-allowed", 405, "This path does not take that method")
NOT_ACCEPTABLE = Kind("not-acceptable", 406, "None of the accepted media types can be given")
FAILED_KEYS = Kind("too-many-failed-keys", 429, "Too many wrong keys from this address", retry_after=5)
AT_ONCE = Kind("too-many-at-once", 429, "Too much of this kind is open at a time", retry_after=1)
TOO_SLOW = Kind("request-timeout", 408, "The request came too slowly")
LONG_LINE = Kind("request-line-too-long", 414, "The first line of the request is too long")
LARGE_HEAD = Kind("head-too-large", 431, "The head of the request is too large")
MALFORMED_REQUEST = Kind("malformed-request", 400, "This cannot be read as a request of HTTP/1.1")
AMBIGUOUS_REQUEST = Kind("ambiguous-request", 400, "The request can be understood in two ways")
TOO_MANY_CONNECTIONS = Kind("too-many-connections", 503, "Too many connections are open", retry_after=5)
NOT_READY = Kind("results-not-ready", 409, "No result can be given yet", retry_after=1)
EXPORT_NOT_READY = Kind("export-not-ready", 409, "The file is still being written", retry_after=1)
JOB_OPEN = Kind("job-open", 409, "The job has not ended", retry_after=5)
TOO_LARGE = Kind("content-too-large", 413, "The body is too large")
HOST = Kind("host-unknown", 421, "This host name is not served")
MEDIA = Kind("unsupported-media-type", 415, "This media type is not understood")
BUSY = Kind("busy", 503, "All connections for bulk work are in use", retry_after=5)
NO_ROOM = Kind("no-room", 503, "The gateway's temporary directory is full", retry_after=30)
ERRAND_FAILED = Kind("refused-by-worker", 422, "A worker has looked, and it cannot be done")
NO_WORKER = Kind("no-worker", 503, "No worker has done this in time", retry_after=5)
INTERNAL = Kind("internal-error", 500, "Something went wrong on our side")

# What callers are told; which server, and why, is in the log.
_AWAY = Kind("database-unavailable", 503, "PostgreSQL does not answer, or not in time", retry_after=2)

_SCHEMA = Kind("schema-missing", 503, "The database has not the tables that this version needs", retry_after=10)
_SCHEMA_DETAIL = (
    "The tables of predictq are not in the database, are of another version, or its role may not use them. "
    "The operator has to run predictq migrate; /health/ready tells more."
)
# A table, column, schema or function is not there, or may not be used.
_OF_SCHEMA = frozenset({"42P01", "42703", "3F000", "42883", "42501"})

_PERIOD = Kind("period-refused", 422, "Answers cannot be kept for that long")

_KEY = Kind("client-key-refused", 422, "This cannot be a key of the source")

_BY_ERROR: dict[type[errors.PredictqError], Kind] = {
    errors.ClientUnknown: Kind("client-unknown", 404, "There is no such client"),
    errors.JobUnknown: Kind("job-unknown", 404, "There is no such job"),
    errors.ResultsGone: Kind("results-gone", 409, "Rows went while they were read", retry_after=1),
    errors.PredictionUnknown: Kind("prediction-unknown", 404, "There is no such prediction"),
    errors.Erased: Kind("erased", 410, "The client has been erased"),
    errors.ModelUnknown: Kind("model-unknown", 404, "There is no such model"),
    errors.ModelRequired: Kind("model-required", 422, "Which model is meant?"),
    errors.ModelRefused: Kind("model-refused", 409, "The model cannot be changed like this"),
    errors.ExportUnknown: Kind("export-unknown", 404, "There is no such file of answers"),
    errors.UploadUnknown: Kind("file-unknown", 404, "There is no such file"),
    errors.NothingToRollBack: Kind("nothing-to-roll-back", 409, "No other version was live before"),
    errors.VersionRetired: Kind("version-retired", 409, "The version was retired"),
    errors.SourceNeeded: Kind("source-needed", 422, "The model has no source"),
    errors.OtherSource: Kind("other-source", 422, "The model reads another source now"),
    errors.SourceTooSlow: Kind("source-too-slow", 422, "The source is read as a whole"),
    errors.ModelVersionUnknown: Kind("model-version-unknown", 404, "There is no such model version"),
    errors.FeaturesRefused: Kind("features-refused", 422, "The features do not fit the live model"),
    errors.FilterRefused: Kind("filter-refused", 422, "The filter cannot be applied"),
    errors.NothingSelected: Kind("nothing-selected", 422, "The job would hold no row"),
    errors.IdempotencyKeyReused: Kind(
        "idempotency-key-reused", 422, "The Idempotency-Key was used with another payload"
    ),
    errors.IdempotencyKeyInFlight: Kind(
        "idempotency-key-in-flight", 409, "A request with this Idempotency-Key is still in flight", retry_after=1
    ),
    errors.ModelChanged: Kind("model-changed", 409, "Another model went live during the call", retry_after=1),
    errors.JobTooLarge: Kind("job-too-large", 422, "The job alone is larger than what may wait"),
    errors.QuotaExceeded: Kind("quota-exceeded", 429, "Your quota of waiting work is used up", retry_after=5),
    errors.Backlogged: Kind("backlogged", 503, "Too much work is waiting", retry_after=5),
    errors.NoLiveModel: Kind("no-live-model", 503, "No model is live", retry_after=10),
    sources.SourceUnknown: Kind("source-unknown", 404, "There is no such source"),
    sources.SourceNotNamed: Kind("source-not-named", 422, "Say which source the client is of"),
    sources.SourceExists: Kind("source-exists", 409, "There is a source of this name"),
    sources.SourceRefused: Kind("source-refused", 422, "This cannot be a source"),
    row_files.ColumnUnknown: Kind("column-unknown", 422, "The source offers no such column"),
    row_files.RowsUnknown: Kind("rows-unknown", 404, "There are no such rows"),
    sources.SourceInUse: Kind("source-in-use", 409, "Live models read the source"),
    sources.KeyRefused: _KEY,
    erasure.ClientKeyRefused: _KEY,
    erasure.ClientNotFound: Kind("client-not-found", 404, "No answer of such a client is kept"),
    erasure.ErasureUnknown: Kind("erasure-unknown", 404, "There is no such erasure"),
    erasure.ClientHeld: Kind("held", 409, "A legal hold forbids it"),
    retention.PeriodRefused: _PERIOD,
    retention.BelowFloor: _PERIOD,
    retention.FloorRefused: _PERIOD,
    retention.HoldRefused: Kind("hold-refused", 422, "This cannot be held"),
    retention.HoldUnknown: Kind("hold-unknown", 404, "There is no such hold"),
    retention.RunUnknown: Kind("retention-run-unknown", 404, "There is no such run of retention"),
    api_keys.KeyUnknown: Kind("key-unknown", 404, "There is no such active key"),
    api_keys.KeyRefused: Kind("key-refused", 422, "The key cannot be like this"),
    pauses.PauseUnknown: Kind("pause-unknown", 404, "Nothing to resume"),
    pauses.PauseRefused: Kind("pause-refused", 422, "This cannot be paused"),
    ProviderAway: Kind("identity-provider-away", 503, "The identity provider does not answer", retry_after=5),
    errors.DatabaseUnavailable: _AWAY,
    errors.DatabaseBlocked: _AWAY,
    errors.AnswerLate: _AWAY,
    errors.DatabaseReadOnly: Kind("database-read-only", 503, "PostgreSQL is read-only", retry_after=5),
    errors.DatabaseFull: Kind("database-full", 503, "PostgreSQL's disk is full", retry_after=30),
    errors.StatementCancelled: Kind("statement-cancelled", 503, "PostgreSQL cancelled a statement", retry_after=5),
    errors.OutcomeOpen: _AWAY,
    errors.SchemaOutdated: _SCHEMA,
}

_BY_STATUS = {kind.status: kind for kind in (MALFORMED, NOT_FOUND, METHOD, TOO_LARGE, MEDIA)}

KINDS: dict[str, Kind] = {
    kind.code: kind
    for kind in (
        *_BY_STATUS.values(),
        *_BY_ERROR.values(),
        *(
            INVALID,
            UNAUTHORISED,
            FORBIDDEN,
            NOT_ACCEPTABLE,
            AT_ONCE,
            TOO_SLOW,
            LONG_LINE,
            LARGE_HEAD,
            MALFORMED_REQUEST,
            AMBIGUOUS_REQUEST,
            TOO_MANY_CONNECTIONS,
            FAILED_KEYS,
            NOT_READY,
            EXPORT_NOT_READY,
            JOB_OPEN,
            HOST,
            BUSY,
            NO_ROOM,
            ERRAND_FAILED,
            NO_WORKER,
            INTERNAL,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a request: where, as a JSON pointer; what, for programs and for people."""

    pointer: str
    code: str
    detail: str


@dataclass(eq=False)
class Problem(Exception):
    """An HTTP error with everything that its answer says."""

    kind: Kind
    detail: str
    flaws: Sequence[Flaw] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class Unauthorised(Problem):
    """No key, an unknown key, or a revoked one."""

    def __init__(self, detail: str) -> None:
        super().__init__(UNAUTHORISED, detail, headers={"WWW-Authenticate": "Bearer"})


class Invalid(Problem):
    """A request that does not say what it must, with every flaw found."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__(INVALID, "; ".join(flaw.detail for flaw in flaws[:3]), flaws)


def problem_of(error: Exception) -> Problem | None:
    """The problem that answers an error; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.PredictqError):
        kind = _BY_ERROR.get(type(error))
        # Its text names the server.
        detail = error.for_callers if isinstance(error, errors.DatabaseUnavailable) else sentence_of(error)
        return None if kind is None else Problem(kind, detail, _flaws_of(error))
    if is_about_schema(error):
        return Problem(_SCHEMA, _SCHEMA_DETAIL)
    if isinstance(error, OSError) and error.errno == ENOSPC:
        return Problem(NO_ROOM, "There is no room to hold the rows until they are accepted. Nothing was accepted.")
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code) or _plain(error.status_code)
        return Problem(kind, _detail(kind, error), headers=error.headers or {})
    return None


def is_about_schema(error: Exception) -> bool:
    """Whether the database lacks what this version needs. Every statement is ours, so that it is no caller's fault."""
    return isinstance(error, ProgrammingError) and getattr(error.orig, "pgcode", None) in _OF_SCHEMA


def _plain(status: int) -> Kind:
    """For a status that only a library raises: RFC 9457 has a type for what needs no explanation."""
    return Kind("", status, HTTPStatus(status).phrase)


def _detail(kind: Kind, error: HTTPException) -> str:
    if kind is NOT_FOUND:
        return "No route has this path. /docs lists them all."
    if kind is METHOD:
        return f"Allowed here: {(error.headers or {}).get('Allow', 'see /docs')}."
    return str(error.detail) if error.detail != HTTPStatus(kind.status).phrase else f"{kind.title}."


def _flaws_of(error: errors.PredictqError) -> Sequence[Flaw]:
    if isinstance(error, errors.FeaturesRefused):
        return [Flaw(pointer("features", item.name), item.code, item.detail) for item in error.problems]
    if isinstance(error, errors.FilterRefused):
        return [Flaw(pointer("where", error.column), "invalid_filter", sentence_of(error))]
    if isinstance(error, errors.ClientUnknown):
        return [Flaw("/client_id", "unknown_client", str(error))]
    return ()


def pointer(*parts: str) -> str:
    """A JSON pointer (RFC 6901) of these steps."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def render(problem: Problem, *, instance: str, request_id: str) -> Response:
    """The answer: the problem as JSON, with Retry-After where trying again makes sense."""
    kind = problem.kind
    body: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail[:_LONGEST],
        "instance": instance,
        "request_id": request_id,
        **members_of(problem.detail),
    }
    if problem.flaws:
        body["errors"] = [
            {
                "pointer": flaw.pointer[:_LONGEST],
                "code": flaw.code,
                "detail": flaw.detail[:_LONGEST],
                **members_of(flaw.detail),
            }
            for flaw in problem.flaws[:MOST_FLAWS]
        ]
    headers = dict(problem.headers)
    if kind.retry_after is not None:
        headers.setdefault("Retry-After", str(kind.retry_after))
    return Response(orjson.dumps(body), kind.status, headers, MEDIA_TYPE)
