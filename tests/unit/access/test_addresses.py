"""Addresses of PostgreSQL and Redis: what every other tool takes is taken, and no refusal repeats a password."""

from __future__ import annotations

import ssl
from urllib.parse import quote

import pytest
from redis import Redis
from sqlalchemy import make_url

from shared.config import Settings, SettingsRefused, load_settings
from shared.messaging.celery_app import make_celery

DATABASE = "postgresql://u:p@h:5432/db"
REDIS = "redis://:p@h:6379/0"
PASSWORD = "p%@/:?#& ü+"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test gives."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


def settings(database: str = DATABASE, redis: str = REDIS) -> Settings:
    return load_settings(database_url=database, redis_url=redis)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2", "Postgres"])
def test_postgresql_by_every_usual_name(scheme: str) -> None:
    """With a password of odd characters, which arrives as it is."""
    given = f"{scheme}://u:{quote(PASSWORD, safe='')}@[::1]:5433/my-db?sslmode=require"
    url = make_url(settings(given).database_url.get_secret_value())
    assert url.drivername == "postgresql+psycopg2"
    assert (url.password, url.host, url.port, url.database) == (PASSWORD, "::1", 5433, "my-db")
    assert url.query == {"sslmode": "require"}


def test_a_password_of_odd_characters_arrives_at_redis_and_celery() -> None:
    """Both read the same out of one address."""
    given = settings(redis=f"redis://:{quote(PASSWORD, safe='')}@h:6380/3")
    client = Redis.from_url(given.redis_url.get_secret_value()).connection_pool.connection_kwargs
    celery = make_celery(given).connection_for_write()
    assert (client["password"], client["port"], client["db"]) == (PASSWORD, 6380, 3)
    assert (celery.password, celery.port, celery.virtual_host) == (PASSWORD, 6380, "3")


@pytest.mark.parametrize(
    ("variable", "given", "words"),
    [
        ("DATABASE_URL", "postgresql://u:geheim@h:abc/db", "port"),
        ("DATABASE_URL", "postgresql://u:gehe@im@h/db", "percent-encoded"),
        ("DATABASE_URL", "postgresql://u:gehe/im@h/db", "percent-encoded"),
        ("DATABASE_URL", "postgresql://u:gehe#im@h/db", "percent-encoded"),
        ("DATABASE_URL", "postgresql://u:geheim@h:70000/db", "port"),
        ("DATABASE_URL", "postgresql+asyncpg://u:geheim@h/db", "must start with postgresql://"),
        ("DATABASE_URL", "u:geheim@h/db", "is no address"),
        ("DATABASE_URL", "postgresql://u:geheim@h/db\n", "is no address"),
        ("REDIS_URL", "redis://:geheim#x@h/0", "percent-encoded"),
        ("REDIS_URL", "redis://:geheim/x@h/0", "percent-encoded"),
        ("REDIS_URL", "redis://:geheim?x@h/0", "percent-encoded"),
        ("REDIS_URL", "redis://:geheim@h:abc/0", "port"),
        ("REDIS_URL", "redis://:geheim@h/abc", "number of a database"),
        ("REDIS_URL", "redis://:geheim@h/0?db=2", "number of the database"),
        ("REDIS_URL", "rediss://:geheim@h/0?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("REDIS_URL", "unix://:geheim@/run/redis.sock", "Unix socket cannot be used"),
        ("REDIS_URL", "redis+socket:///run/redis.sock", "Unix socket cannot be used"),
        ("REDIS_URL", "sentinel://:geheim@h", "must start with redis:// or rediss://"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_variable(variable: str, given: str, words: str) -> None:
    """And never repeats a part of what was given."""
    with pytest.raises(SettingsRefused) as caught:
        settings(**{"database" if variable == "DATABASE_URL" else "redis": given})
    told = str(caught.value)
    assert told.startswith(f"{variable} ")
    assert words in told
    assert "\n" not in told
    assert not any(part in told for part in ("geheim", "gehe", "im@", "abc", "70000"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ssl.CERT_REQUIRED),
        ("?ssl_ca_certs=/ca.pem", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE),
    ],
)
def test_celery_checks_certificates_unless_told_otherwise(query: str, expected: ssl.VerifyMode) -> None:
    """By itself it checks none: a worker logged in to a server that nobody could vouch for."""
    given = settings(redis=f"rediss://:p@h:6379/0{query}")
    assert make_celery(given).connection_for_write().ssl["ssl_cert_reqs"] == expected
    client = Redis.from_url(given.redis_url.get_secret_value()).connection_pool.make_connection()
    assert client.cert_reqs == expected
