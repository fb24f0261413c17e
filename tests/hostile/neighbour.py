"""The well-behaved neighbour: calls at a steady, modest rate with a key of her own, and times each of them."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Self

_PAUSE_SECONDS = 0.02  # between two calls
# Hers, and not that of those who attack: what one address may have is theirs. Linux has all of 127.0.0.0/8.
_OWN_ADDRESS = ("127.0.0.2", 0) if sys.platform == "linux" else None


@dataclass
class Figures:
    """Her calls: seconds of each, and those that went wrong."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def p(self, part: float) -> float:
        """The time that a `part` of all calls did not exceed, in seconds; 0 without calls."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


class Neighbour:
    """Calls in a thread while the block runs: predictions by key and from features, their jobs, a list."""

    def __init__(self, port: int, key: str, features: dict[str, object]) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._features = features
        self._stop = threading.Event()
        self.figures = Figures()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30, source_address=_OWN_ADDRESS)
        number = 0
        while not self._stop.wait(_PAUSE_SECONDS):
            number += 1
            try:
                location = self._ask(connection, "POST", "/v1/predict", {"client_id": number % 100 + 1}, 202)
                self._ask(connection, "GET", location, None, 200)
                if number % 4 == 0:
                    self._ask(connection, "POST", "/v1/predict_raw", {"features": self._features}, 202)
                    self._ask(connection, "GET", "/v1/jobs?limit=10", None, 200)
            except (OSError, http.client.HTTPException) as error:
                self.figures.wrong.append(f"{type(error).__name__}: {error}")
                connection.close()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, method: str, path: str, body: object, expected: int) -> str:
        started = time.perf_counter()
        connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = connection.getresponse()
        content = answer.read()
        self.figures.seconds.append(time.perf_counter() - started)
        if answer.status != expected:
            self.figures.wrong.append(f"{method} {path}: {answer.status} {content[:200].decode('utf-8', 'replace')}")
            raise http.client.HTTPException(f"{answer.status}")
        return answer.headers.get("location", "")
