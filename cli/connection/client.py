"""The gateway over HTTP: patient where it asks for patience, and never a second job for one submission."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote, urlencode

import httpx

from cli.connection.address import ApiAddress
from cli.connection.http import open_http
from cli.connection.refusals import asked_pause, is_passing, refusal_of
from cli.errors import GatewayAway, GatewayRefused

NOT_YET = 409
PATIENCE_SECONDS = 60.0  # how long one call is repeated
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
WAIT_SECONDS = 30  # what `Prefer: wait` asks for at a time
FIRST_WAIT_SECONDS = 3  # what a submission asks for: then whoever waits can be told so
PIECE_BYTES = 256 * 1024
_LISTED_AT_ONCE = 1000

Json = dict[str, Any]
Content = Callable[[], Iterator[bytes]]  # a body that can be sent again
OnBytes = Callable[[int], None]  # told how many bytes have gone or come in all


def _untold(_why: Exception) -> None:
    """Whoever gives no callback wants no word about pauses."""


class ApiClient:
    """Calls to one gateway. Each raises GatewayAway, or GatewayRefused with what the gateway says."""

    def __init__(
        self,
        address: ApiAddress,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        on_pause: Callable[[Exception], None] = _untold,
    ) -> None:
        """Nothing is sent yet. `on_pause` is told why a call is about to be repeated."""
        headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
        timeout = httpx.Timeout(WAIT_SECONDS + 30, connect=5)
        self._http = open_http(address, headers=headers, timeout=timeout)
        self._url = address.url
        self.named_url = address.named_url  # for browsers
        self._patience = patience_seconds
        self._on_pause = on_pause
        self._reached = False

    @property
    def url(self) -> str:
        """The gateway's address."""
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def predict(self, client_id: Any, *, model: str | None = None, wait: bool = False, key: str | None = None) -> Json:
        """Ask for one client's prediction; with `wait` the job comes back finished if that takes a moment.

        The same `key` (an Idempotency-Key) makes one job, here and below, however often it is sent.
        """
        return self._submit("/v1/predict", {"client_id": client_id, **_named(model)}, wait=wait, key=key)

    def predict_raw(self, body: Mapping[str, Any], *, wait: bool = False, key: str | None = None) -> Json:
        """The same for features given in the call: `body` has them, and may have client_id and model."""
        return self._submit("/v1/predict_raw", dict(body), wait=wait, key=key)

    def submit_where(self, where: Mapping[str, Any], *, key: str | None = None, **more: Any) -> Json:
        """A bulk job of all clients that fit; of all there are when `where` is empty. `more`: model, name, deadline."""
        given = {name: value for name, value in more.items() if value is not None}
        return self._submit("/v1/jobs", {**({"where": where} if where else {"all": True}), **given}, key=key)

    def submit_file(
        self, path: Path, content_type: str, on_bytes: OnBytes, *, key: str | None = None, **more: Any
    ) -> Json:
        """A bulk job of the client ids in a file, streamed; `on_bytes` is told how many bytes are sent."""
        self.jobs(limit=1)  # a wrong key or a missing gateway is noticed before a long upload, not after
        headers = {"Content-Type": content_type, **_keyed(key)}
        given = {name: value for name, value in more.items() if value is not None}
        return self._json("POST", "/v1/jobs", params=given, headers=headers, content=_content_of(path, on_bytes))

    def submit(self, document: Json, *, key: str | None = None) -> Json:
        """A bulk job by its whole body; what is None in it is left out."""
        given = {name: value for name, value in document.items() if value is not None}
        return self._submit("/v1/jobs", given, key=key)

    def send_file(self, path: Path, on_bytes: OnBytes) -> Json:
        """Send a file for a worker to open; returns its id, size and SHA-256."""
        self.jobs(limit=1)
        headers = {"Content-Type": "application/octet-stream"}
        return self._json("POST", "/v1/uploads", headers=headers, content=_content_of(path, on_bytes))

    def job(self, job_id: str, *, wait_seconds: int = 0) -> Json:
        """The job as it stands; with `wait_seconds` the answer comes when it is finished, or after that time."""
        return self._json("GET", f"/v1/jobs/{job_id}", headers=_prefer(wait_seconds))

    def jobs(self, *, limit: int, **wanted: str | None) -> list[Json]:
        """The newest jobs of the key's owner, newest first. `wanted`: status, kind, model, name, since, until."""
        found: list[Json] = []
        params: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        while True:
            page = self._json("GET", "/v1/jobs", params={**params, "limit": min(limit - len(found), 100)})
            found += page["jobs"]
            if page.get("next") is None or len(found) >= limit:
                return found
            params["cursor"] = page["next"]

    def cancel(self, job_id: str) -> Json:
        """Stop a job; what is scored stays."""
        return self._json("POST", f"/v1/jobs/{job_id}/cancel")

    def cancel_all(self, wanted: Mapping[str, str]) -> int:
        """Stop all open jobs that fit `wanted` (status, kind, model, name); returns how many this was."""
        count = 0
        while True:
            answer = self._json("POST", "/v1/jobs/cancel", json=dict(wanted))
            count += int(answer["cancelled"])
            if not answer["more"]:
                return count

    def again(self, job_id: str, what: str, *, key: str | None = None) -> Json:
        """A new job of an earlier one's rows: "repeat" asks all of them, "retry" those that failed."""
        return self._json("POST", f"/v1/jobs/{job_id}/{what}", headers=_keyed(key))

    def trace(self, request_id: str) -> Json:
        """Everything about one prediction."""
        return self._json("GET", f"/v1/predictions/{request_id}")

    def results(
        self, job_id: str, target: IO[bytes], content_type: str, on_bytes: OnBytes, *, errors: str | None = None
    ) -> bool:
        """Write a job's results to `target`, streamed; returns whether they are all there will be.

        `errors` is "only" for the rows that have one, or the code of an error for those with this one.
        """
        request = {"headers": {"Accept": content_type}, "params": {"errors": errors} if errors else None}
        with closing(self._call("GET", f"/v1/jobs/{job_id}/results", stream=True, **request)) as response:
            return self._fetch(response, target, on_bytes)

    def export(self, job_id: str, file_format: str, target: IO[bytes], on_bytes: OnBytes) -> tuple[int, bool]:
        """Have a worker write a job's answers, and fetch the file to `target`.

        Returns how many rows it has, and whether they are all there will be.
        """
        asked = self._json("POST", f"/v1/jobs/{job_id}/exports", params={"format": file_format})
        headers = self._written(f"/v1/exports/{asked['id']}", target, on_bytes)
        return int(headers["X-Predictq-Rows"]), headers.get("X-Predictq-Complete", "true") == "true"

    def source_rows(self, name: str, wanted: Json, target: IO[bytes], on_bytes: OnBytes) -> None:
        """Have a worker read rows of a source, and fetch them to `target` as an Arrow file; no copy stays there."""
        asked = self._json("POST", f"/v1/sources/{quote(name, safe='')}/rows", json=wanted)
        try:
            self._written(f"/v1/rows/{asked['id']}", target, on_bytes)
        finally:
            with suppress(GatewayRefused, GatewayAway):  # then they go by themselves
                self.call("DELETE", f"/v1/rows/{asked['id']}")

    def _written(self, path: str, target: IO[bytes], on_bytes: OnBytes) -> httpx.Headers:
        """Fetch a file as soon as a worker has written it; returns the headers."""
        pause = FIRST_PAUSE
        while True:
            try:
                answer = self._call("GET", path, stream=True)
                break
            except GatewayRefused as refused:
                if refused.status != NOT_YET:
                    raise
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
        with closing(answer) as response:
            self._fetch(response, target, on_bytes)
            return response.headers

    def call(self, method: str, path: str, document: Json | None = None, *, seconds: float | None = None) -> Json:
        """Any call that is answered once: of an administrator, say. An answer without a body is {}.

        `seconds`: how long the answer may take, where a worker has much to do for it.
        """
        request: dict[str, Any] = {} if document is None else {"json": document}
        if seconds is not None:
            request["timeout"] = httpx.Timeout(seconds, connect=5)
        response = self._call(method, path, **request)
        answer: Json = response.json() if response.content else {}
        return answer

    def parts(self, path: str, document: Json | None = None) -> Iterator[Json]:
        """All answers of a call that lists something in parts. With a `document` it is a POST with the cursor in it."""
        cursor: Json = {}
        while True:
            if document is None:
                part = self.call("GET", f"{path}?{urlencode({'limit': _LISTED_AT_ONCE, **cursor})}")
            else:
                part = self.call("POST", path, {**document, "limit": _LISTED_AT_ONCE, **cursor})
            yield part
            if part["next"] is None:
                return
            cursor = {"cursor": part["next"]}

    def _fetch(self, response: httpx.Response, target: IO[bytes], on_bytes: OnBytes) -> bool:
        """Write what comes to `target`; returns whether these are all rows there will be."""
        try:
            for piece in response.iter_bytes(PIECE_BYTES):
                target.write(piece)
                on_bytes(response.num_bytes_downloaded)
        except httpx.TransportError as error:
            raise GatewayAway(self._url, error) from error
        return bool(response.headers.get("X-Predictq-Complete", "true") == "true")

    def _submit(self, path: str, document: Json, *, wait: bool = False, key: str | None = None) -> Json:
        return self._json(
            "POST", path, headers={**_keyed(key), **_prefer(FIRST_WAIT_SECONDS if wait else 0)}, json=document
        )

    def _json(self, method: str, path: str, **request: Any) -> Json:
        document: Json = self._call(method, path, **request).json()
        return document

    def _call(self, method: str, path: str, *, stream: bool = False, **request: Any) -> httpx.Response:
        """The first answer that is no request for patience; with `stream` its body is still to be read."""
        deadline = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return self._attempt(method, path, stream=stream, **request)
            except _Passing as passing:
                seconds = pause if passing.seconds is None else passing.seconds
                if time.monotonic() + seconds > deadline:
                    raise passing.why from passing
                self._on_pause(passing.why)
            time.sleep(seconds)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _attempt(
        self, method: str, path: str, *, stream: bool, content: Content | None = None, **request: Any
    ) -> httpx.Response:
        body = content() if content else None
        try:
            response = self._http.send(self._http.build_request(method, path, content=body, **request), stream=stream)
            self._reached = True
            if response.is_success:
                return response
            response.read()
        except httpx.TransportError as error:
            away = GatewayAway(self._url, error)
            if self._reached:  # it was there a moment ago, and what makes a job bears its Idempotency-Key
                raise _Passing(away) from error
            raise away from error
        refusal = refusal_of(response)
        if is_passing(response, is_submission="Idempotency-Key" in request.get("headers", {})):
            raise _Passing(refusal, asked_pause(response))
        raise refusal


class _Passing(Exception):
    """The call may well succeed in `seconds`; None: soon."""

    def __init__(self, why: GatewayAway | GatewayRefused, seconds: float | None = None) -> None:
        super().__init__(str(why))
        self.why = why
        self.seconds = seconds


def _content_of(path: Path, on_bytes: OnBytes) -> Content:
    def content() -> Iterator[bytes]:
        sent = 0
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
                sent += len(piece)
                on_bytes(sent)

    return content


def _named(model: str | None) -> Json:
    return {} if model is None else {"model": model}


def _keyed(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def _prefer(seconds: int) -> dict[str, str]:
    return {"Prefer": f"wait={seconds}"} if seconds else {}
