"""Which errors of PostgreSQL say that it is away, and which that what was asked cannot be done."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
from psycopg2.errors import lookup
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.errors import DatabaseUnavailable

# By SQLSTATE: the connection, a rollback for the sake of others, resources, the operator, the disk.
_AWAY_CLASSES = frozenset({"08", "40", "53", "58"})
_AWAY_CODES = frozenset({"57P01", "57P02", "57P03", "57P05", "57014", "55P03", "25006", "25P03", "25P04"})
LOCKED = "55P03"
CANCELLED = "57014"  # by a time-out, or by somebody
_MISFIT_CLASSES = frozenset({"42", "3F"})  # a right, a relation, a column, a type or a schema is not as it was
READ_ONLY = "25006"  # a write to a standby, or in a transaction that only reads
_OF_ONE_STATEMENT = frozenset({CANCELLED, "53200"})  # 53200: no memory was left for it
# Of these classes the server's words name connections, rights, relations and columns. Those of others may repeat
# values: of data and constraints, of functions and views that raise what their authors wrote, of foreign servers.
_PLAIN_CLASSES = frozenset({"08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"})
_FOREIGN = "HV"  # a foreign server that is away, for one
_LONGEST = 300


def driver_error(error: BaseException) -> psycopg2.Error | None:
    """The driver's error that `error` is, wraps or was raised from."""
    for cause in _causes(error):
        original = cause.orig if isinstance(cause, DBAPIError) else cause
        if isinstance(original, psycopg2.Error):
            return original
    return None


def is_outage(error: BaseException) -> bool:
    """Whether PostgreSQL is away, refuses, or waits for others: the same may succeed later, whatever was asked.

    Any other error of the server comes from what was asked, and would come again.
    """
    cause = driver_error(error)
    if cause is None:
        return any(isinstance(each, PoolTimeout | DatabaseUnavailable) for each in _causes(error))
    if cause.pgcode is None:
        return isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError)
    return cause.pgcode in _AWAY_CODES or cause.pgcode[:2] in _AWAY_CLASSES


def gave_up_statement(error: BaseException) -> bool:
    """Whether PostgreSQL is there and gave up this one statement, for its time or its memory.

    That passes as a rule; where it comes again and again, it may be the statement's own fault.
    """
    cause = driver_error(error)
    return cause is not None and cause.pgcode in _OF_ONE_STATEMENT


def is_misfit(error: BaseException) -> bool:
    """Whether what was asked does not fit what is there: a right or a relation is gone, a column has another type.

    Somebody has to do something about it.
    """
    cause = driver_error(error)
    return cause is not None and cause.pgcode is not None and cause.pgcode[:2] in _MISFIT_CLASSES


def may_be_of_one_row(error: psycopg2.Error) -> bool:
    """Whether the values of one row may have raised it, in a view, a function or a cast: others can be read then."""
    return error.pgcode is not None and error.pgcode[:2] not in _PLAIN_CLASSES | {_FOREIGN}


def reason(error: BaseException) -> str:
    """What happened, in one line without values, keys, statements and addresses.

    It tells more than `shared.told_errors.words_of`: whoever owns the source must learn which column is gone.
    """
    cause = driver_error(error)
    if cause is None:
        return type(error).__name__
    if cause.pgcode is None:
        return "the connection was lost or refused"
    name = _name_of(cause)
    if cause.pgcode[:2] not in _PLAIN_CLASSES:
        return f"{name} (SQLSTATE {cause.pgcode})"
    message = (cause.diag.message_primary or "").partition("\n")[0]
    return f"{name}: {message}"[:_LONGEST]


def _name_of(error: psycopg2.Error) -> str:
    try:
        return lookup(error.pgcode or "").__name__
    except KeyError:  # a code that somebody's function made up
        return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
