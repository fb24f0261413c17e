"""A network to PostgreSQL that can be cut, frozen, or made to lose an answer."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

from pydantic import SecretStr
from sqlalchemy import make_url

from shared.config import Settings
from shared.database_role import DatabaseRole


class Network:
    """A TCP connection to PostgreSQL that can be cut, frozen, or made to lose one answer. Use it as a context."""

    def __init__(self, database_url: str) -> None:
        url = make_url(database_url)
        self._target = (url.host or "127.0.0.1", url.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.set(host="127.0.0.1", port=self._listener.getsockname()[1]).render_as_string(hide_password=False)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._up = threading.Event()
        self._up.set()
        self._lose_answer_to: bytes | None = None
        self._let_pass = 0
        self._refuses = False
        self._closed = False
        self._threads = [threading.Thread(target=self._accept)]

    def through(self, settings: Settings) -> Settings:
        """The same settings, in which each service reaches PostgreSQL by this way, under its own role."""
        names = ("database_url", *(f"{role.value}_database_url" for role in DatabaseRole))
        return settings.model_copy(
            update={name: self._led_through(given) for name in names if (given := getattr(settings, name)) is not None}
        )

    def _led_through(self, given: SecretStr) -> SecretStr:
        here = make_url(self.url)
        led = make_url(given.get_secret_value()).set(host=here.host, port=here.port, query={})
        return SecretStr(led.render_as_string(hide_password=False))

    def __enter__(self) -> Network:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._up.set()
        self._threads[0].join()  # so that no connection comes after the last is cut
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self) -> None:
        """Break every connection; new ones work."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def go_down(self) -> None:
        """Break every connection and let no new one live."""
        self._refuses = True
        self.cut()

    def come_up(self) -> None:
        """Undo `go_down` and `freeze`."""
        self._refuses = False
        self._up.set()

    def freeze(self) -> None:
        """Swallow everything without a word."""
        self._up.clear()

    def lose_answer_to(self, query: bytes, *, after: int = 0) -> None:
        """Let the next query that holds these bytes reach the server, and cut the connection before it answers.

        The first `after` of them get their answers.
        """
        self._let_pass, self._lose_answer_to = after, query

    def _accept(self) -> None:
        while not self._closed:
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            near, _ = self._listener.accept()
            if self._refuses:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pairs.append((near, far))
            thread = threading.Thread(target=self._carry, args=(near, far))
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, contextlib.suppress(OSError):
            is_losing = False
            while True:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(65536)
                    self._up.wait()
                    if not data or (is_losing and source is far):
                        return
                    if self._lose_answer_to and self._lose_answer_to in data:
                        self._let_pass -= 1
                        if self._let_pass < 0:
                            self._lose_answer_to, is_losing = None, True
                    (far if source is near else near).sendall(data)
