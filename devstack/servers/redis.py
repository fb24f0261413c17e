"""A server of our own that speaks Redis' protocol: Valkey, or the Redis of this machine."""

import hashlib
import os
import re
import subprocess
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from signal import SIGTERM

import redis

from devstack.files import write_private
from devstack.servers.accounts import unprivileged_account
from devstack.servers.binaries import REDIS_PROGRAMS, VALKEY, redis_program
from devstack.servers.cluster import ENVIRONMENT
from devstack.servers.leftovers import stop_leftovers
from devstack.servers.location import home_of
from devstack.servers.reachable import reachable
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
# All that our programs, Celery and Flower ask of it. Whoever has the password writes no file, reads no setting, runs no
# script, stops nobody's connection, and finds no keys but those that are ours.
ALLOWED = frozenset((
    "ping", "auth", "hello", "select", "info", "multi", "exec", "discard", "watch", "unwatch", "lpush", "rpush", "rpop",
    "brpop", "llen", "lrange", "lindex", "lrem", "ltrim", "exists", "type", "del", "unlink", "expire", "sadd", "srem",
    "smembers", "scard", "publish", "subscribe", "unsubscribe", "psubscribe", "punsubscribe",
))  # fmt: skip
KEYS = ("interactive*", "bulk*", "plan*", "_kombu.binding*", "*celery.pidbox*", "celeryev*")
CHANNELS = ("*",)  # a subscription by a pattern asks for that very pattern; nothing is kept in them
# Before 6.2 no ACL can say all of that. What reaches beyond the keys is then taken away by name.
REFUSED = frozenset((
    "ACL", "BGREWRITEAOF", "BGSAVE", "CLIENT", "CLUSTER", "CONFIG", "DEBUG", "EVAL", "EVALSHA", "MIGRATE", "MODULE",
    "MONITOR", "PSYNC", "REPLICAOF", "SAVE", "SCRIPT", "SHUTDOWN", "SLAVEOF", "SYNC",
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

    `settings` go over the defaults under the server's own names. Its one user may the commands in `ALLOWED`, and those
    in `more` beside them; with `free` she may all. As root, the server runs as the account nobody.
    """

    name = "redis"

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        more: Collection[str] = (),
        free: bool = False,
    ) -> None:
        """Nothing is touched yet."""
        super().__init__(data_dir, port)
        self._more = more
        self._free = free
        self._account = unprivileged_account(self.data_dir / "data") if os.geteuid() == 0 else None
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
            argv=[str(self._program()), str(self._home() / CONFIG)],
            env=ENVIRONMENT,
            log_path=self.log_path,
            ready=self._answers,
            cwd=self.kept,
            account=self._account,
            stop_signal=SIGTERM,
            before_start=self._before_start,
            after_stop=self._release,
            advice=ADVICE,
            port=self.address.port,
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
        path = self._home() / CONFIG
        write_private(path, "\n".join([*lines, *self._limits()]) + "\n")
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def _limits(self) -> list[str]:
        """The lines that say what the password opens."""
        if self._free:
            return []
        if not knows_channels(redis_program()):
            return [f'rename-command {command} ""' for command in sorted(REFUSED - set(self._more))]
        digest = hashlib.sha256(
            self.address.password.encode()
        ).hexdigest()  # a `user` line forgets what requirepass says
        words = ["user default", "on", f"#{digest}", "resetkeys", *(f"~{key}" for key in KEYS), "resetchannels"]
        words += [*(f"&{channel}" for channel in CHANNELS), "-@all", *(f"+{command}" for command in sorted(ALLOWED))]
        return [" ".join([*words, *(f"+{command.lower()}" for command in sorted(self._more))])]

    def _clear(self) -> None:
        stop_leftovers(self.kept, REDIS_PROGRAMS, SIGTERM)

    def _program(self) -> Path:
        packaged = VALKEY.find()
        return reachable(packaged, self._account) / REDIS_PROGRAMS[0] if packaged else redis_program()

    @property
    def kept(self) -> Path:
        """Where the server writes its own files."""
        return self._home() / "data"

    def _set_up(self) -> None:
        """The server makes its own files."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        if self._account:
            for path in (self.kept, *self.kept.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid)

    def _home(self) -> Path:
        return home_of(self.data_dir, self._account)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:  # refused, or still loading its data
                return False


@cache
def knows_channels(program: Path) -> bool:
    """Whether its access lists can say all that ours do: Redis 6.2 and later, and every Valkey."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return found is None or (int(found[1]), int(found[2])) >= (6, 2)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
