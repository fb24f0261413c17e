"""A server of our own that speaks Redis' protocol: Valkey, or the Redis of this machine."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from signal import SIGTERM

import redis

from devstack.files import write_private
from devstack.servers.binaries import REDIS_PROGRAMS, redis_program
from devstack.servers.leftovers import stop_leftovers
from devstack.servers.server import EmbeddedServer
from devstack.supervision.child import Child

CONFIG = "redis.conf"
DEFAULTS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",  # a broker may refuse a message, but must not lose one
    "maxmemory": "256mb",  # as in compose: room for more than 200,000 waiting batches
    "tcp-backlog": "128",  # the default is more than most kernels grant, and warns
}
# Nobody here needs them, and with them whoever has the password writes files as our user, reads the password back or
# makes the server another's replica. EVALSHA and SCRIPT stay: kombu's lock on unacknowledged messages is a script.
# By their names, since no ACL suits every version: Redis 6.0 knows no channels in one.
REFUSED = frozenset((
    "ACL", "BGREWRITEAOF", "BGSAVE", "CLUSTER", "CONFIG", "DEBUG", "EVAL", "MIGRATE", "MODULE", "MONITOR", "PSYNC",
    "REPLICAOF", "SAVE", "SHUTDOWN", "SLAVEOF", "SYNC",
))  # fmt: skip
OTHER_SERVER = "The data are of a newer or another server: move the directory away; batches that wait are sent again."
ADVICE = {
    "Address already in use": "Another program took the port: start again, and another one is chosen.",
    "No space left on device": "The disk is full: free some space.",
    "Bad file format reading the append only file": "The data are damaged: move the directory away.",
    "FATAL CONFIG FILE ERROR": "Correct the setting that is named above.",
    "Can't handle RDB format version": OTHER_SERVER,
    "Wrong signature trying to load DB": OTHER_SERVER,
    "Permission denied": "Give the directory back to its owner, or use another one.",
}


class EmbeddedRedis(EmbeddedServer):
    """Valkey or Redis in `data_dir`, persistent (append-only file) and behind a password.

    `settings` go over the defaults under the server's own names. Commands that are `refused` are not there at all.
    """

    name = "redis"

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        refused: Collection[str] = REFUSED,
    ) -> None:
        """Nothing is touched yet."""
        super().__init__(data_dir, port)
        self._refused = refused
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://:{self.address.password}@127.0.0.1:{self.address.port}/0"

    def child(self) -> Child:
        """The server as a supervisor's child; prepares it if need be."""
        self.prepare()
        return Child(
            name=self.name,
            argv=[str(redis_program()), CONFIG],
            env=os.environ,
            log_path=self.log_path,
            ready=self._answers,
            cwd=self.data_dir,
            stop_signal=SIGTERM,
            before_start=self._before_start,
            after_stop=self._release,
            advice=ADVICE,
        )

    def _before_start(self) -> None:
        self.prepare()
        self._clear()
        # The password is in this private file, never on a command line that every user can list.
        own = {
            "bind": "127.0.0.1",
            "port": str(self.address.port),
            "requirepass": self.address.password,
            "dir": ".",
            "daemonize": "no",
            "logfile": "",
        }
        lines = [f"{name} {_quoted(value)}" for name, value in (DEFAULTS | self._settings | own).items()]
        lines += [f'rename-command {command} ""' for command in sorted(self._refused)]
        write_private(self.data_dir / CONFIG, "\n".join(lines) + "\n")

    def _clear(self) -> None:
        stop_leftovers(self.data_dir, REDIS_PROGRAMS, SIGTERM)

    def _set_up(self) -> None:
        """The server makes its own files."""

    def _home(self) -> Path:
        return self.data_dir

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # refused, or still loading its data
                return False


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
