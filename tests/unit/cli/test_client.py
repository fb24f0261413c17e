"""The HTTP client of the command line, against a real socket: patient, and never a second job for one submission."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.connection.address import ApiAddress
from cli.connection.client import ApiClient
from cli.errors import GatewayAway, GatewayRefused
from cli.watching import wait_for, watch
from devstack.servers.ports import free_port

JOB = {"id": "1", "kind": "single", "status": "queued"}


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False  # close the connection without a word


@dataclass
class Gateway:
    """Gives the answers in order, the last one again and again, and remembers what it was asked."""

    answers: list[Answer]
    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = b""
        if handler.headers.get("Transfer-Encoding") == "chunked":
            while size := int(handler.rfile.readline(), 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
        else:
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.asked.append((handler.command, handler.path, dict(handler.headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.hang_up:
            handler.close_connection = True
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    fake = Gateway([])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            fake.answer(self)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """The test's output is no place for an access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[ApiClient]:
    with ApiClient(ApiAddress(gateway.url, "pq_secret"), patience_seconds=2) as client:
        yield client


def keys_of(gateway: Gateway) -> set[str | None]:
    return {headers.get("Idempotency-Key") for method, _, headers, _ in gateway.asked if method == "POST"}


def test_a_busy_gateway_is_asked_again_under_the_same_idempotency_key(gateway: Gateway, client: ApiClient) -> None:
    """503, 429 and two kinds of 409 are waited out; however often it is repeated, a submission is one job."""
    wait = {"Retry-After": "0"}
    busy = [Answer(409, {"type": f"/problems/{kind}"}, wait) for kind in ("idempotency-key-in-flight", "model-changed")]
    gateway.answers = [Answer(503, {}, wait), Answer(429, {}, wait), *busy, Answer(202, JOB)]
    assert client.predict(1, wait=True) == JOB
    assert len(gateway.asked) == 5
    assert len(keys_of(gateway)) == 1
    assert gateway.asked[0][2]["Prefer"] == "wait=3"
    assert gateway.asked[0][2]["Authorization"] == "Bearer pq_secret"


def test_what_will_not_pass_is_said_at_once(gateway: Gateway, client: ApiClient) -> None:
    """A retired version stays retired, and a job that runs may run for hours."""
    for kind in ("version-retired", "job-open"):
        gateway.answers = [Answer(409, {"type": f"/problems/{kind}", "detail": kind}, {"Retry-After": "0"})]
        gateway.asked.clear()
        with pytest.raises(GatewayRefused, match=kind):
            client.predict(1)
        assert len(gateway.asked) == 1


def test_two_submissions_have_two_keys(gateway: Gateway, client: ApiClient) -> None:
    """Asking twice on purpose is two jobs."""
    gateway.answers = [Answer(202, JOB)]
    client.submit_where({})
    client.predict_raw({"features": {"age": 41}})
    assert len(keys_of(gateway)) == 2
    assert [json.loads(body) for _, _, _, body in gateway.asked] == [{"all": True}, {"features": {"age": 41}}]


def test_a_submission_may_bring_its_own_key(gateway: Gateway, client: ApiClient, tmp_path: Path) -> None:
    """What a cron job repeats under its own key is one job."""
    ids = tmp_path / "ids.csv"
    ids.write_bytes(b"1\n")
    gateway.answers = [Answer(202, JOB)]
    client.submit_where({}, key="nightly-26")
    gateway.answers = [Answer(200, {"jobs": [], "next": None}), Answer(202, JOB)]
    client.submit_file(ids, "text/csv", lambda _: None, key="nightly-26")
    assert keys_of(gateway) == {"nightly-26"}


def test_a_connection_lost_on_the_way_is_tried_again(gateway: Gateway, client: ApiClient) -> None:
    """A gateway that restarts in the middle of things is forgiven, and the user is told."""
    told: list[Exception] = []
    gateway.answers = [Answer(200, JOB), Answer(hang_up=True), Answer(200, JOB)]
    with ApiClient(ApiAddress(gateway.url, None), patience_seconds=2, on_pause=told.append) as client:
        client.job("1")
        assert client.job("1") == JOB
    assert [type(why) for why in told] == [GatewayAway]
    assert "Authorization" not in gateway.asked[0][2]


def test_patience_ends(gateway: Gateway, client: ApiClient) -> None:
    """A gateway that stays busy longer than we have time is an error that says what it said."""
    gateway.answers = [Answer(503, {"detail": "too much waits"}, {"Retry-After": "5"})]
    with pytest.raises(GatewayRefused, match="503: too much waits"):
        client.job("1")


def test_a_missing_model_is_not_waited_for(gateway: Gateway, client: ApiClient) -> None:
    """It goes live when somebody promotes one, which may be never."""
    problem = {"type": "/problems/no-live-model", "detail": "No model is live."}
    gateway.answers = [Answer(503, problem, {"Retry-After": "1"})]
    with pytest.raises(GatewayRefused, match="No model is live"):
        client.predict(1)
    assert len(gateway.asked) == 1


def test_nobody_there_is_said_at_once() -> None:
    """A wrong address costs no minute."""
    with (
        ApiClient(ApiAddress(f"http://127.0.0.1:{free_port()}", None)) as client,
        pytest.raises(GatewayAway, match="start it with `predictq up`"),
    ):
        client.job("1")


def test_a_refusal_is_one_line_with_its_pointers(gateway: Gateway, client: ApiClient) -> None:
    """Problem documents become a sentence; what it says already is not said twice; other pages are named by status."""
    flaws = [{"pointer": "/age", "detail": "age is missing"}, {"pointer": "/x", "detail": "it is refused"}]
    gateway.answers = [Answer(422, {"detail": "it is refused", "errors": flaws}), Answer(502, b"<html>")]
    with pytest.raises(GatewayRefused) as caught:
        client.predict(1)
    assert str(caught.value) == "the gateway says 422: it is refused (/age age is missing)"
    with pytest.raises(GatewayRefused, match="502: Bad Gateway"):
        client.predict(1)


def test_a_refused_key_tells_how_to_get_one(gateway: Gateway, client: ApiClient) -> None:
    """401 says what to do."""
    gateway.answers = [Answer(401, {"title": "A valid API key is needed"})]
    with pytest.raises(GatewayRefused, match="predictq keys create"):
        client.trace(1)


@pytest.mark.parametrize(("kind", "command"), [("model", "predictq models list"), ("source", "predictq sources list")])
def test_an_unknown_name_tells_how_to_see_the_known_ones(
    gateway: Gateway, client: ApiClient, kind: str, command: str
) -> None:
    """Whoever misspelt one sees it there."""
    problem = {"type": f"/problems/{kind}-unknown", "title": "There is none", "detail": "There is no 'chrun'."}
    gateway.answers = [Answer(404, problem)]
    with pytest.raises(GatewayRefused, match=f"There is no 'chrun'. `{command}` shows those that there are"):
        client.trace(1)


def test_an_upload_is_streamed_and_sent_whole_again_after_a_pause(
    gateway: Gateway, client: ApiClient, tmp_path: Path
) -> None:
    """A file of any size goes out in pieces; a repeated attempt starts at its beginning."""
    content = b"client_id\n" + b"".join(b"%d\n" % number for number in range(100_000))
    path = tmp_path / "ids.csv"
    path.write_bytes(content)
    sent: list[int] = []
    gateway.answers = [Answer(200, {"jobs": []}), Answer(503, {}, {"Retry-After": "0"}), Answer(202, JOB)]
    assert client.submit_file(path, "text/csv", sent.append) == JOB
    assert [body for method, _, _, body in gateway.asked if method == "POST"] == [content, content]
    assert sent[-1] == len(content)
    assert len(keys_of(gateway)) == 1


def test_pages_of_jobs_are_followed_up_to_the_limit(gateway: Gateway, client: ApiClient) -> None:
    """`--limit` counts jobs, not pages."""
    gateway.answers = [
        Answer(200, {"jobs": [JOB] * 100, "next": "c1"}),
        Answer(200, {"jobs": [JOB] * 20, "next": "c2"}),
    ]
    assert len(client.jobs(limit=120, status="queued")) == 120
    assert "cursor=c1" in gateway.asked[1][1]
    assert "limit=20" in gateway.asked[1][1]


def test_results_go_to_the_target_as_they_come(gateway: Gateway, client: ApiClient) -> None:
    """Whether more will follow is told by a header."""
    target = io.BytesIO()
    gateway.answers = [Answer(200, b"a,b\n", {"X-Predictq-Complete": "false"})]
    assert client.results("1", target, "text/csv", lambda _size: None) is False
    assert target.getvalue() == b"a,b\n"
    assert gateway.asked[0][2]["Accept"] == "text/csv"


def test_results_cut_short_are_an_error(gateway: Gateway, client: ApiClient) -> None:
    """Half a file is never taken for a whole one."""
    gateway.answers = [Answer(200, b"a,b\n", {"Content-Length": "1000", "Connection": "close"})]
    with pytest.raises(GatewayAway):
        client.results("1", io.BytesIO(), "text/csv", lambda _size: None)


def test_the_rows_with_an_error_alone_are_asked_for(gateway: Gateway) -> None:
    """All of them, or those with one code; without the word the whole job is."""
    gateway.answers = [Answer(body=b"request_id\n")]
    with ApiClient(ApiAddress(gateway.url, "k")) as client:
        for errors in (None, "only", "unknown_client"):
            assert client.results("7", io.BytesIO(), "text/csv", lambda _: None, errors=errors)
    paths = [path for _, path, *_ in gateway.asked]
    assert paths == ["/v1/jobs/7/results" + query for query in ("", "?errors=only", "?errors=unknown_client")]


@pytest.mark.parametrize(("quiet", "said"), [(False, 1), (True, 0)])
def test_a_long_wait_is_said_once(
    gateway: Gateway, client: ApiClient, capsys: pytest.CaptureFixture[str], quiet: bool, said: int
) -> None:
    """On standard error, with where the reason is told; JSON stays alone."""
    running = Answer(body=JOB)
    gateway.answers = [running, running, running, Answer(body=JOB | {"status": "succeeded"})]
    assert wait_for(client, JOB, quiet=quiet)["status"] == "succeeded"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("still waits") == captured.err.count("predictq doctor") == said


def test_progress_names_the_whole_job(
    gateway: Gateway, client: ApiClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown may be copied: a part of an id is no job."""
    monkeypatch.setattr("cli.output.progress.PLAIN_SECONDS", 0)
    job_id = "01a21dcb-a9f2-7e47-ae3c-d4eff2f2641a"
    done = {"id": job_id, "status": "succeeded", "request_counts": dict.fromkeys(("total", "succeeded"), 1)}
    done["request_counts"] |= {"failed": 0, "cancelled": 0}
    gateway.answers = [Answer(body=done)]
    watch(client, done | {"status": "running"}, quiet=False)
    assert f"job {job_id}: 1 of 1 row" in capsys.readouterr().err
