"""PostgreSQL and Redis of a stack: the user's own where the environment names them, embedded ones otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from devstack.supervision.supervisor import Supervisor
from shared.database_role import DatabaseRole

_RECOVERY_SECONDS = 1_800.0


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers are."""

    database_url: str  # for every program on this machine
    fast_database_url: str  # for the programs that we start: a Unix socket where there is one
    role_urls: Mapping[DatabaseRole, str]  # the same for the services' database roles; empty: none are asked for
    redis_url: str
    own_database: bool  # the user's, which we neither start nor fill unasked
    own_redis: bool


def start_servers(directory: Path, supervisor: Supervisor) -> Servers:
    """Start what the environment does not name, with its data in `directory`. Raises EmbeddedError."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    own_database, own_redis = bool(database_url), bool(redis_url)
    fast_url = database_url
    role_urls = {duty: url for duty in DatabaseRole if (url := os.environ.get(duty.variable))} if database_url else {}
    if not database_url:
        postgres = EmbeddedPostgres(directory / "postgres")
        # After an unclean end it replays what it had not written yet, and begins anew whenever it is ended at that.
        supervisor.start(postgres.child(), timeout=_RECOVERY_SECONDS)
        database_url, fast_url = postgres.url, postgres.socket_url
        role_urls = {duty: postgres.socket_url_of(duty) for duty in DatabaseRole}
    if not redis_url:
        redis = EmbeddedRedis(directory / "redis")
        supervisor.start(redis.child())
        redis_url = redis.url
    return Servers(database_url, fast_url or database_url, role_urls, redis_url, own_database, own_redis)


def delete_data(directory: Path) -> None:
    """Delete the data of the embedded servers of `directory`, which must not run, wherever they are kept."""
    for server in (EmbeddedPostgres(directory / "postgres"), EmbeddedRedis(directory / "redis")):
        if server.data_dir.exists():
            server.destroy()
