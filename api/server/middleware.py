"""The outermost layer: request ids, headers that every answer bears, metrics, and the last word on errors.

One plain ASGI class. The busiest calls are answered here directly, through the very endpoints that the router
knows: matching a path against every route and the router's stacks cost more than the calls themselves.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.host_names import require_api_host
from api.http.problems import INTERNAL, NOT_FOUND, Problem, is_about_schema, problem_of, render
from api.http.requests import IS_HEAD, Raw
from api.http.root_path import rooted, set_root
from api.server.deadline import Deadline, current
from api.watch.metrics import Metrics
from api.watch.outage_log import OutageLog
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.told_errors import words_of

log = get_logger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]

REQUEST_ID = "predictq.request_id"  # where the request id is in the ASGI scope

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
MAY_BE_KEPT = "predictq.may_be_kept"  # in the ASGI scope of an answer that never changes under its address

# Of an answer that has no policy of its own, as screens do: shown as a page it runs and loads nothing, in no frame.
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_HEADERS_OF_KEPT = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"public, max-age=31536000, immutable")]
_JOB_PATH = "/v1/jobs/"
_JOB_PATH_LENGTH = len(_JOB_PATH) + 36
_CALLER_GONE = 499  # a status for the metrics alone
JOB_ROUTE = "/v1/jobs/{job_id}"


class Middleware:
    """Wraps the whole application. `direct` names the endpoints of the busiest calls by method and route."""

    def __init__(
        self,
        app: ASGIApp,
        direct: Mapping[tuple[str, str], Endpoint],
        root: str = "",
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._root = root
        self._direct = (
            {call: self._of_own_name(endpoint) for call, endpoint in direct.items()} if hosts else dict(direct)
        )
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._under_root(scope)
        started = time.perf_counter()
        method = scope["method"]
        request_id = scope[REQUEST_ID] = self._request_id(scope)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                current().lift()
                status = message["status"]
                own = _HEADERS_OF_KEPT if MAY_BE_KEPT in scope else _HEADERS
                headers = [*message["headers"], (b"x-request-id", request_id), *own]
                has_policy = any(name == _POLICY[0] for name, _ in headers)
                message["headers"] = headers if has_policy else [*headers, _POLICY]
            await send(message)

        route, endpoint = self._find(scope)
        try:
            if method == "HEAD":
                scope = {**scope, "method": "GET", IS_HEAD: True}
                await self._route(scope, receive, _without_body(send_with_headers))
            elif endpoint is None:
                await self._route(scope, receive, send_with_headers)
            else:
                response = await answer(endpoint, Request(scope, receive))
                status = response.status_code
                await _deliver(response, scope, receive, send, send_with_headers, request_id)
        except ClientDisconnect as gone:
            if not isinstance(gone, _HeadSent):
                status = _CALLER_GONE
        except Exception:
            if status < 500:  # otherwise the answer is out, and logged
                raise
        finally:
            metrics: Metrics = scope["app"].state.services.metrics
            metrics.observe(method, route or _route_of(scope), status, time.perf_counter() - started)

    def _under_root(self, scope: Scope) -> Scope:
        """The call as it were at the root of its host, whether or not the proxy took the root path away."""
        if not self._root:
            return scope
        set_root(self._root)
        path: str = scope["path"]
        return {**scope, "path": path.removeprefix(self._root)} if path.startswith(f"{self._root}/") else scope

    def _require_host(self, scope: Scope) -> None:
        """Raise Problem 421 where the API is called by a name that is not its own."""
        if self._hosts and scope["path"].startswith("/v1/"):
            require_api_host(self._hosts, scope["headers"])

    def _of_own_name(self, endpoint: Endpoint) -> Endpoint:
        """The same for calls by the API's own names alone."""

        async def checked(request: Request) -> Response:
            self._require_host(request.scope)
            return await endpoint(request)

        return checked

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the router find who answers, and answer for whoever does not begin to in time."""
        try:
            _refuse_nul(scope)
            self._require_host(scope)
            with Deadline():
                await self._app(scope, receive, send)
        except (Problem, DatabaseUnavailable) as error:  # the deadline's: within the application each becomes an answer
            await error_response(Request(scope), error)(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[str, Endpoint | None]:
        path: str = scope["path"]
        if len(path) == _JOB_PATH_LENGTH and path.startswith(_JOB_PATH):
            path = JOB_ROUTE
        endpoint = self._direct.get((scope["method"], path))
        return (path, endpoint) if endpoint else ("", None)

    def _request_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _SANE_ID.fullmatch(value):
                return bytes(value)
        return f"{self._prefix}-{next(self._numbers)}".encode()


async def _deliver(
    response: Response, scope: Scope, receive: Receive, send: Send, send_with_headers: Send, request_id: bytes
) -> None:
    """Send an answer; ready bytes without the layers that streams and cookies need."""
    if type(response) is Raw:
        current().lift()
        await send(response.start([(b"x-request-id", request_id), *_HEADERS, _POLICY]))
        await send(response.whole_body())
    else:
        await response(scope, receive, send_with_headers)


async def answer(endpoint: Endpoint, request: Request) -> Response:
    """What the endpoint answers, or the problem that stands for its error."""
    try:
        with Deadline():
            return await endpoint(request)
    except ClientDisconnect:
        raise
    except Exception as error:  # noqa: BLE001 - the last place where it can become an answer
        return error_response(request, error)


def error_response(request: Request, error: Exception) -> Response:
    """The problem+json of any error; one that nobody foresaw is logged with its traceback."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=_CALLER_GONE)  # which nobody will read
    request_id = request.scope[REQUEST_ID].decode()
    problem = problem_of(error)
    if isinstance(error, DatabaseUnavailable):
        outage_log: OutageLog = request.app.state.services.outage_log
        outage_log.note(error, request_id=request_id, path=request.url.path)
    if is_about_schema(error):
        log.error("schema_missing", request_id=request_id, path=request.url.path, reason=words_of(error))
    if problem is None:
        log.error("unexpected_error", request_id=request_id, path=request.url.path, exc_info=error)
        problem = Problem(INTERNAL, f"Tell the operator this request id, it is in the log: {request_id}")
    return render(problem, instance=rooted(request.scope["path"]), request_id=request_id)


def _refuse_nul(scope: Scope) -> None:
    """Raise Problem 404 where path or parameters hold a NUL: no text in PostgreSQL does, and its driver fails."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise Problem(NOT_FOUND, "No path and no parameter holds the character NUL.")


class _HeadSent(ClientDisconnect):
    """The answer to a HEAD is out: nobody waits for the rest of a stream."""


def _without_body(send: Send) -> Send:
    """`send` for the answer to a HEAD: what GET would answer, less the body."""

    async def send_head(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body", False):
            raise _HeadSent

    return send_head


def _route_of(scope: Scope) -> str:
    route = scope.get("route")
    return getattr(route, "path", "unmatched")
