"""The gateway under a path of its host, behind a proxy that takes the path away and behind one that does not."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from sqlalchemy import Engine

from shared.config import Settings
from tests.integration.gateway.api_support import answer_batches, new_key, running_gateway
from tests.support import add_clients, add_model

ROOT = "/apps/predictq"
PORTS: dict[str, int] = {}


class Proxy(BaseHTTPRequestHandler):
    """Hands on what is asked for under ROOT; anything else is 404, as on a host that has other things at its root."""

    takes_root_away = True
    target = 0

    def _hand_on(self) -> None:
        if not self.path.startswith(f"{ROOT}/"):
            self.send_error(404, "nothing of predictq's")
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.target)
        path = self.path.removeprefix(ROOT) if self.takes_root_away else self.path
        behind.request(self.command, path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name not in ("content-length", "transfer-encoding", "date"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        behind.close()

    do_GET = do_POST = _hand_on  # noqa: N815 - names of the library

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(params=[True, False], ids=["path taken away", "path handed on"])
def caller(request: pytest.FixtureRequest, settings: Settings, engine: Engine) -> Iterator[httpx.Client]:
    """A caller before the proxy, who knows the host alone."""
    add_model(engine)
    add_clients(engine, 30)
    key = new_key(engine, "alice", is_admin=True)
    with running_gateway(settings.model_copy(update={"root_path": ROOT}), key) as gateway:
        handler = type("Handler", (Proxy,), {"target": gateway.base_url.port, "takes_root_away": request.param})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", headers=gateway.headers) as client:
            yield client
        server.shutdown()
        thread.join()
        server.server_close()


def test_whatever_an_answer_points_to_is_there(caller: httpx.Client, engine: Engine) -> None:
    """Location, links of jobs, Link of lists and of results."""
    made = caller.post(f"{ROOT}/v1/jobs", json={"client_ids": list(range(1, 21))})
    assert made.status_code == 202
    assert caller.post(f"{ROOT}/v1/predict", json={"client_id": 1}).status_code == 202
    answer_batches(engine)
    assert made.headers["location"].startswith(f"{ROOT}/v1/jobs/")
    read = caller.get(made.headers["location"])
    assert read.status_code == 200
    links = read.json()["links"]
    assert caller.get(links["self"]).json() == read.json()
    assert caller.post(links["cancel"]).status_code == 200
    for path, name in ((f"{ROOT}/v1/jobs?limit=1", "jobs"), (f"{links['results']}?limit=5", "rows")):
        first = caller.get(path)
        found = re.fullmatch(r'<(.*)>; rel="next"', first.headers["link"])
        assert found
        second = caller.get(found[1])
        assert second.status_code == 200
        assert second.json()[name] != first.json()[name]
    run = caller.post(f"{ROOT}/v1/retention/run", json={})
    assert run.status_code == 202
    assert caller.get(run.headers["location"]).status_code == 200


def test_a_problem_names_the_call_as_it_was_made(caller: httpx.Client) -> None:
    """Its `instance`; its `type` is a name, the same wherever the gateway is."""
    path = f"{ROOT}/v1/jobs/01890000-0000-7000-8000-000000000000"
    answer = caller.get(path)
    assert (answer.status_code, answer.json()["instance"]) == (404, path)
    assert answer.json()["type"] == "/problems/job-unknown"


def test_the_page_for_people_finds_its_files_and_its_calls(caller: httpx.Client) -> None:
    """Script, style and document are asked for under the path, and the calls of the page go there."""
    page = caller.get(f"{ROOT}/docs")
    assert page.status_code == 200
    named = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    paths = [urlsplit(first or second).path for first, second in named]
    assert len(paths) >= 4
    assert {path: caller.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    document = caller.get(f"{ROOT}/openapi.json").json()
    assert document["servers"] == [{"url": ROOT}]
    assert "/v1/predict" in document["paths"]


_ADDRESSES = re.compile(r' (href|src|action|data-live|data-path)="([^"]*)"')
_FILED = re.compile(r'<p class="code">(http[^<]+)</p>')
_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


def test_no_screen_leads_out_of_the_path(caller: httpx.Client, engine: Engine) -> None:
    """Links, forms, files and streams of every screen that links lead to; and the address that is printed and filed."""
    job = caller.post(f"{ROOT}/v1/jobs", json={"client_ids": [1, 2]}).json()
    answer_batches(engine)
    request_id = caller.get(job["links"]["results"]).json()["rows"][0]["request_id"]
    assert caller.post(f"{ROOT}/v1/jobs", json={"client_ids": [3]}).status_code == 202  # a screen of it is live
    link = caller.post(f"{ROOT}/v1/sign-in-links").json()["path"]
    del caller.headers["authorization"]  # from here on a browser: a session, and no key
    assert caller.get(f"{ROOT}/keys").headers["location"].startswith(f"{ROOT}/sign-in?")
    assert caller.get(link).headers["location"] == f"{ROOT}/"
    answer = caller.get(f"{ROOT}/answers/{request_id}")
    (filed,) = _FILED.findall(answer.text)
    assert urlsplit(filed).path == f"{ROOT}/answers/{request_id}"
    assert caller.get(filed).status_code == 200
    token = _TOKEN.findall(answer.text)[0]
    client = caller.post(f"{ROOT}/answers/{request_id}/client", data={"form_token": token}).headers["location"]
    assert client.startswith(f"{ROOT}/clients/")
    walked = walk(caller, [f"{ROOT}/", answer.url.path])
    places = ("jobs", "jobs/new", "clients", "models", "models/default", "sources", "try", "keys", "keys/new", "audit")
    assert {f"{ROOT}/{place}" for place in places} <= {urlsplit(path).path for path in walked}


def walk(caller: httpx.Client, begin: list[str]) -> set[str]:
    """Every address that screens name, each asked for; what is a page is read as well."""
    walked: set[str] = set()
    waiting = list(begin)
    while waiting:
        path = waiting.pop()
        if path in walked:
            continue
        walked.add(path)
        for name, value in _ADDRESSES.findall(page_of(caller, path)):
            address = urlsplit(urljoin(path, unescape(value)))
            assert address.path.startswith(f"{ROOT}/"), (path, name, value)
            if name == "action":  # what may be asked for with POST alone is another matter than what nobody knows
                assert caller.get(address.path).status_code != 404, (path, value)
            elif name != "data-path":
                waiting.append(address._replace(fragment="").geturl())
    return walked


def page_of(caller: httpx.Client, path: str) -> str:
    """The page at a path; empty for a file. The stream of events is not read: it has no end."""
    if urlsplit(path).path == f"{ROOT}/live":
        return ""
    answer = caller.get(path)
    if urlsplit(path).path == f"{ROOT}/sign-in":  # hidden until a session ends; it leads whoever is signed in back
        assert (answer.status_code, answer.headers["location"].startswith(f"{ROOT}/")) == (303, True), path
        return ""
    assert answer.status_code == 200, path
    return answer.text if answer.headers["content-type"].startswith("text/html") else ""
