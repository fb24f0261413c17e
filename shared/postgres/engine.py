"""Connections to PostgreSQL: one engine per process, built by its entry module and never across a fork."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.errors import (
    DiskFull,
    IdleInTransactionSessionTimeout,
    LockNotAvailable,
    QueryCanceled,
    ReadOnlySqlTransaction,
    TransactionTimeout,
)
from psycopg2.extensions import TRANSACTION_STATUS_ACTIVE
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.config import Settings
from shared.errors import DatabaseBlocked, DatabaseFull, DatabaseReadOnly, DatabaseUnavailable, StatementCancelled
from shared.json_text.reading import read_json

# A dead peer is noticed after about 5 + 3 × 2 s idle, or after 10 s with data on its way, rather than after hours.
_CONNECT = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# The default is said here and not to the driver: psycopg2 repeats a level that it was told with a statement of its own
# whenever autocommit is switched, one round trip more for each use.
# No parallel plans: while a table's statistics lag behind what was just inserted, the planner takes one row for
# thousands, and to start a helper for them costs 5 to 10 ms.
_DEFAULTS = (
    "-c jit=off -c max_parallel_workers_per_gather=0 -c timezone=UTC -c default_transaction_isolation=read\\ committed"
)

# How PostgreSQL writes values as text: its own defaults, whatever the role or the database has. With fewer digits a
# probability would come out rounded, and a threshold that is read back would be another than was registered. With
# array_nulls off, the row of a page that has no key, label or answer would be refused, or be the word NULL.
_TEXTS = (
    "-c extra_float_digits=1 -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex -c client_encoding=UTF8 "
    "-c array_nulls=on"
)

# Time-outs as above, from the server's side. Without them a worker that was cut off inside a transaction kept its batch
# locked, and so out of everybody's reach, for as long as PostgreSQL believed in the connection: two hours by default.
_SESSION = (
    "-c idle_in_transaction_session_timeout=15s -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 "
    "-c tcp_keepalives_count=3 -c tcp_user_timeout=10s"
)


_ON_DISK = """
CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""
_KNOWS_TRANSACTION_TIMEOUT = 170_000  # PostgreSQL 17


def make_engine(
    settings: Settings,
    *,
    application_name: str,
    pool_size: int = 1,
    statement_timeout_seconds: float | None = None,
    lock_timeout_seconds: float | None = None,
    newest_first: bool = False,
) -> Engine:
    """An engine with its own pool of at most `pool_size` connections; used by turns, or `newest_first`.

    `application_name` shows in pg_stat_activity. A statement that runs longer than `statement_timeout_seconds`, or
    waits for one lock for longer than `lock_timeout_seconds`, is cancelled by the server; None is no limit, whatever
    the role or the database says.
    """
    connect: dict[str, Any] = dict(_CONNECT, application_name=application_name)
    limits = {"statement_timeout": statement_timeout_seconds, "lock_timeout": lock_timeout_seconds}
    options = [f"-c {name}={int((seconds or 0) * 1000)}" for name, seconds in limits.items()]
    connect["options"] = " ".join([_DEFAULTS, _TEXTS, _SESSION, *options])
    engine = create_engine(
        settings.database_url.get_secret_value(),
        connect_args=connect,
        json_deserializer=read_json,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=newest_first,
        pool_timeout=3,
        hide_parameters=True,  # an error's text must not repeat a client key
        pool_pre_ping=False,  # a round trip per use; a lost connection is answered by retry or 503 instead
    )
    event.listen(engine, "handle_error", _leave_read_only)
    event.listen(engine, "connect", _keep_promises)
    return engine


def _keep_promises(driver: PsycopgConnection, _record: object) -> None:
    """Let transactions take their time, and have a commit be on the disk, whatever the role or the database has.

    A bulk job or an upload is one transaction, and may be long. With synchronous_commit off, what was answered with 202
    would be gone after a crash of the server. No start-up options: servers before 17 refuse a connection that names a
    setting which they do not know, and who waits for standbys, too, must keep that.
    """
    settings = [_ON_DISK]
    if driver.info.server_version >= _KNOWS_TRANSACTION_TIMEOUT:
        settings.append("set_config('transaction_timeout', '0', false)")
    driver.autocommit = True
    with driver.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(settings)}")
    driver.autocommit = False


def _leave_read_only(context: ExceptionContext) -> None:
    """Drop the connections to a server that has become read-only: the address may lead to another one by now."""
    if isinstance(context.original_exception, ReadOnlySqlTransaction):
        context.is_disconnect = True


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits at the end of the block, with lost connections named `DatabaseUnavailable`."""
    with naming_failures(), engine.begin() as connection:
        try:
            yield connection
        except BaseException:
            _drop_busy(connection)
            raise


@contextmanager
def autocommit(engine: Engine) -> Iterator[Connection]:
    """A connection on which each statement commits by itself: one round trip in place of three.

    SQLAlchemy's own AUTOCOMMIT is not used: it switches back, by a statement, while the connection returns to its pool,
    and a line that is cut at that moment costs the pool its slot for ever.
    """
    with naming_failures(), engine.connect() as connection:
        driver = driver_connection(connection)
        driver.autocommit = True  # known to the driver alone: the server is not asked
        try:
            yield connection
        except BaseException:
            _drop_busy(connection)
            raise
        finally:
            if not driver.closed:
                driver.autocommit = False


def _drop_busy(connection: Connection) -> None:
    """Close a connection that an error of ours left in the middle of a COPY.

    Back in the pool it would keep the statement open, and whoever takes it next would wait for all of its rows.
    """
    if connection.invalidated:
        return
    if driver_connection(connection).info.transaction_status == TRANSACTION_STATUS_ACTIVE:
        connection.invalidate()


@contextmanager
def naming_failures() -> Iterator[None]:
    """Turn the driver's ways to say that the server is away, or takes no writes, into `DatabaseUnavailable`."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable(error) from error
    except (OperationalError, InterfaceError) as error:
        raise _named(error.orig or error) from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError, *_INTERNAL) as error:
        raise _named(error) from error
    except InternalError as error:
        if isinstance(error.orig, _INTERNAL):
            raise _named(error.orig) from error
        raise


# What the driver takes for its own fault: a standby, and transactions that the server has ended with their connection.
_INTERNAL = (ReadOnlySqlTransaction, IdleInTransactionSessionTimeout, TransactionTimeout)

_NAMES = (
    (LockNotAvailable, DatabaseBlocked),
    (QueryCanceled, StatementCancelled),
    (ReadOnlySqlTransaction, DatabaseReadOnly),
    (DiskFull, DatabaseFull),
)


def _named(cause: BaseException) -> DatabaseUnavailable:
    return next((named for kind, named in _NAMES if isinstance(cause, kind)), DatabaseUnavailable)(cause)


def driver_connection(connection: Connection) -> PsycopgConnection:
    """The psycopg2 connection under a SQLAlchemy connection, for COPY; same transaction."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, PsycopgConnection):
        raise TypeError("predictq needs the psycopg2 driver: use a postgresql+psycopg2:// URL")
    return driver
