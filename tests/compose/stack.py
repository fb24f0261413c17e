"""The stack of docker-compose.yml under a project name of its own, with secrets made for the run."""

from __future__ import annotations

import json
import secrets
import socket
import time
import urllib.request
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from tests.compose.engine import CommandFailed, clean_environment, compose_command, inspect, run
from tests.support import wait_until

IMAGES = ("api", "worker", "flower", "tools")
CLIENTS = 100_000
SERVING = ("postgres", "redis", "api", "worker", "upkeep", "flower")
# `make test` runs this, too, so that it stays true where no engine is.
ROWS_PER_WORKER = (
    "SELECT split_part(worker, '/', 1), sum(succeeded + failed) FROM predictq.batch_outputs WHERE job_id = :job_id "
    "GROUP BY 1 ORDER BY 1"
)
CHECKED = ("postgres", "redis", "api", "worker", "flower")  # those that have a health check


class Stack:
    """Commands on the stack. Leaving the `with` block removes containers, networks, volumes and image names."""

    def __init__(self) -> None:
        self.project = f"predictqtest{secrets.token_hex(4)}"
        self.secrets = {
            name: secrets.token_hex(16)
            for name in (
                "POSTGRES_PASSWORD",
                "GATEWAY_DATABASE_PASSWORD",
                "WORKER_DATABASE_PASSWORD",
                "UPKEEP_DATABASE_PASSWORD",
                "REDIS_PASSWORD",
                "FLOWER_PASSWORD",
            )
        }
        self.api_port = _free_port()
        self._compose = compose_command()
        self._environment = clean_environment(
            COMPOSE_PROJECT_NAME=self.project,
            IMAGE_PREFIX=self.project,
            **self.secrets,
            API_PORT=str(self.api_port),
            FLOWER_PORT="0",  # any free one
            WORKER_CONCURRENCY="1",
            PREDICTQ_BULK_BATCH_ROWS="2500",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            say(self.compose("logs", "--no-color", "--tail", "50"))
        self.remove()

    def compose(self, *arguments: str, seconds: float = 180) -> str:
        """Run a compose command on this project and return its output."""
        return run(*self._compose, *arguments, seconds=seconds, environment=self._environment)

    def build(self) -> None:
        """Build all four images and print their sizes."""
        start = time.monotonic()
        self.compose("--profile", "tools", "build", seconds=1500)
        sizes = {name: inspect(self.image(name))["Size"] / 1e6 for name in IMAGES}
        listed = ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items())
        say(f"images built in {time.monotonic() - start:.0f} s: {listed}, the base image included")

    def image(self, name: str) -> str:
        """The name of a built image."""
        return f"{self.project}-{name}"

    def start(self) -> None:
        """Bring everything up and wait until all health checks pass."""
        start = time.monotonic()
        self.compose("up", "-d", seconds=300)
        for service in CHECKED:
            wait_until(lambda name=service: self.is_healthy(name), seconds=120, what=f"health of {service}")  # type: ignore[misc]
        say(f"up and healthy after {time.monotonic() - start:.1f} s")

    def fill(self) -> None:
        """Make a key, load clients, train and promote a model."""
        made = json.loads(self.tool("keys", "create", "compose-test", "--first", "--json"))
        self._environment["PREDICTQ_API_KEY"] = made["key"]
        self.tool("example", "load", "hr_attrition", "--rows", str(CLIENTS))
        self.tool("example", "train", "hr_attrition")

    def tool(self, *arguments: str) -> str:
        """Run the command `predictq` in the tools container and return its output."""
        return self.compose("run", "--rm", "-T", "tools", "predictq", *arguments, seconds=300)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, ended ones too."""
        filters = [f"label=com.docker.compose.project={self.project}", f"label=com.docker.compose.service={service}"]
        listed = run("docker", "ps", "-aq", "--no-trunc", *(part for item in filters for part in ("--filter", item)))
        return listed.split()

    def is_healthy(self, service: str) -> bool:
        """Whether the service has containers, and the health check of each passes."""
        states = [inspect(name)["State"] for name in self.containers(service)]
        return bool(states) and all(state["Health"]["Status"] == "healthy" for state in states)

    @property
    def api_url(self) -> str:
        """Where this machine reaches the gateway."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def flower_url(self) -> str:
        """Where this machine reaches Flower."""
        return f"http://{self.compose('port', 'flower', '5555').strip()}"

    def query(self, sql: str) -> list[list[str]]:
        """Rows of a query, as text."""
        command = f'PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U predictq -d predictq -At -c "{sql}"'
        output = self.compose("exec", "-T", "postgres", "sh", "-c", command)
        return [line.split("|") for line in output.splitlines()]

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """One call to the gateway with the run's key; the status and the JSON of the answer."""
        request = urllib.request.Request(
            self.api_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._environment['PREDICTQ_API_KEY']}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        with urllib.request.urlopen(request, timeout=90) as response:
            return response.status, json.load(response)

    def remove(self) -> None:
        """Remove what was made: containers, networks, volumes, image names."""
        self.compose("--profile", "tools", "down", "--volumes", "--remove-orphans", "--timeout", "20")
        for name in IMAGES:
            try:
                run("docker", "image", "rm", self.image(name))
            except CommandFailed as error:
                if "No such image" not in str(error):  # an earlier failure: it was never built
                    raise


def moment(text: str) -> datetime:
    """A time as the engine writes it, to the microsecond."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}").replace(tzinfo=UTC)


def started_at(container: str) -> datetime:
    """When a container was started."""
    return moment(inspect(container)["State"]["StartedAt"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(line: str) -> None:
    """Show a figure of this run, whatever pytest captures."""
    print(f"compose: {line}", flush=True)  # noqa: T201 - the proof is to be read
