"""The image to try: `docker run`, and a browser."""

from __future__ import annotations

import json
import re
import secrets
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar

import pytest

from tests.compose.engine import CommandFailed, inspect, processes, run
from tests.compose.stack import say
from tests.support import wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

PORT = 7861  # another one than the default, as a caller may say


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Demo:
    """One container of the image; its volume stays when it ends."""

    def __init__(self, name: str) -> None:
        self.name, self.port = name, _free_port()

    def start(self) -> str:
        """Run it until it has said where to look. Returns the link."""
        url = f"http://localhost:{self.port}"
        options = ["-e", f"PORT={PORT}", "-e", f"PUBLIC_URL={url}", "-p", f"127.0.0.1:{self.port}:{PORT}"]
        limits = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--pids-limit", "256"]
        run("docker", "run", "-d", "--name", self.name, *options, *limits, "-v", f"{self.name}:/data", self.name)
        return wait_until(self._link, seconds=600, what="the link to look at")

    def _link(self) -> str | None:
        found = re.search(r"Look\s+(\S+)", run("docker", "logs", self.name))
        if found is None and inspect(self.name)["State"]["Status"] != "running":
            raise AssertionError(run("docker", "logs", self.name)[-3000:])
        return found.group(1) if found else None

    def stop(self) -> None:
        """End it in good order, and remove it; the volume stays."""
        run("docker", "stop", "-t", "60", self.name)
        run("docker", "rm", self.name)


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """The image, built, and its container; both removed at the end."""
    name = f"predictqdemo{secrets.token_hex(4)}"
    run("docker", "build", "-q", "-f", "Dockerfile.demo", "-t", name, ".", seconds=1500)
    say(f"demo image {inspect(name)['Size'] / 1e6:.0f} MB")
    try:
        yield Demo(name)
    finally:
        for command in (("rm", "-f", name), ("volume", "rm", name), ("image", "rm", name)):
            try:
                run("docker", *command)
            except CommandFailed as error:
                say(str(error)[:200])


def test_one_container_shows_a_model_at_work_and_keeps_what_it_has(demo: Demo) -> None:
    """The printed link signs in once; the sample's model answers; nobody else comes in; a restart keeps it all."""
    link = demo.start()
    assert link.startswith(f"http://localhost:{demo.port}/")
    assert {process.user for process in processes(demo.name)} == {1000}
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(link, timeout=60) as page:
        assert page.status == 200
        assert "html" in page.headers["Content-Type"]
    with pytest.raises(urllib.error.HTTPError, match="40"):  # it was used
        urllib.request.urlopen(link, timeout=60)
    answer = json.loads(run("docker", "exec", demo.name, *_COMMAND, "predict", "1", "--wait", "--json"))
    assert answer["status"] == "succeeded"
    demo.stop()
    demo.start()
    traced = json.loads(run("docker", "exec", demo.name, *_COMMAND, "job", answer["id"], "--json"))
    assert traced["result"] == answer["result"]
    demo.stop()


_COMMAND = ("env", "PREDICTQ_LOG_LEVEL=ERROR", "predictq")
