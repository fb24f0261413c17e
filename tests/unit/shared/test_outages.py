"""Which errors of PostgreSQL are outages, and what is said of any of them."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.errors import DatabaseUnavailable
from shared.postgres.outages import driver_error, is_outage, may_be_of_one_row, reason
from worker.sources.failures import SourceRefuses, source_failure


def raised(error: Exception, cause: BaseException | None = None) -> Exception:
    """The error as `raise … from …` leaves it."""
    error.__cause__ = cause
    return error


class Told(psycopg2.OperationalError):
    """An error of the server with a code, which the driver alone can set otherwise."""

    def __init__(self, code: str) -> None:
        super().__init__("secret-1")
        self._code = code

    @property
    def pgcode(self) -> str:  # type: ignore[override]
        """SQLSTATE."""
        return self._code


class Raised(Told):
    """The same with the words that the server says first."""

    @property
    def diag(self) -> SimpleNamespace:  # type: ignore[override]
        """The parts of its message."""
        return SimpleNamespace(message_primary="secret-1")


@pytest.mark.parametrize(
    "code", ["08006", "57P01", "57P02", "57P03", "53300", "55P03", "57014", "40001", "40P01", "25006"]
)
def test_what_says_that_the_server_is_away_is_an_outage(code: str) -> None:
    """The connection, the operator, resources, and waiting for others: the same may succeed later."""
    assert is_outage(raised(DatabaseUnavailable(Told(code)), Told(code)))
    assert is_outage(raised(DatabaseUnavailable(Told(code)), OperationalError("SELECT", {}, Told(code))))


@pytest.mark.parametrize("code", ["54011", "54000", "22003", "22P02", "23505", "42703", "42P01", "XX000", "P0001"])
def test_what_was_asked_for_is_no_outage(code: str) -> None:
    """Too many columns, a value out of range, a column that is gone: it would come again for ever."""
    assert not is_outage(raised(DatabaseUnavailable(Told(code)), Told(code)))


def test_a_line_that_is_lost_and_a_pool_that_is_empty_are_outages() -> None:
    """These have no code. Any other error is none of PostgreSQL's."""
    assert is_outage(psycopg2.OperationalError("server closed the connection unexpectedly"))
    assert is_outage(psycopg2.InterfaceError("connection already closed"))
    assert is_outage(raised(DatabaseUnavailable(PoolTimeout()), PoolTimeout()))
    assert not is_outage(ValueError("x"))
    assert not is_outage(psycopg2.ProgrammingError("no results to fetch"))


@pytest.mark.parametrize("code", ["42501", "42P01", "42703", "42704", "42804", "42809", "42846", "42883", "3F000"])
def test_what_does_not_fit_what_is_there_waits_for_a_person(code: str) -> None:
    """A right, a relation or a column is gone, or a column has another type: an admin is told where to look."""
    failure = source_failure("crm", Raised(code))
    assert isinstance(failure, SourceRefuses)
    assert str(failure).endswith("An admin sees what to do with: predictq sources check crm")


@pytest.mark.parametrize("code", ["22012", "P0001", "57014", "40001", "53100", "HV000"])
def test_what_fits_waits_for_nobody(code: str) -> None:
    """A row raises, or the server is busy or away: no admin can see more by a check."""
    failure = source_failure("crm", Raised(code))
    assert not isinstance(failure, SourceRefuses)
    assert "sources check" not in str(failure)


def test_a_reason_repeats_no_value() -> None:
    """Neither of the server's words about values, nor of a client's."""
    assert reason(ValueError("secret-1")) == "ValueError"
    assert "secret" not in reason(Told("22P02"))
    assert reason(Told("22P02")) == "InvalidTextRepresentation (SQLSTATE 22P02)"
    assert "secret" not in reason(psycopg2.OperationalError("connection to secret-1 failed"))
    assert driver_error(ValueError()) is None


@pytest.mark.parametrize("code", ["22012", "23514", "21000", "38000", "39004", "P0001", "XX001", "UE001", "HV000"])
def test_what_authors_of_views_and_functions_raise_is_told_by_its_code(code: str) -> None:
    """Their words may quote a row, and callers who share a batch read the reason. A code may be one of their own."""
    found = reason(Raised(code))
    assert found.endswith(f"(SQLSTATE {code})")
    assert "secret" not in found
    assert may_be_of_one_row(Raised(code)) == (code != "HV000")


@pytest.mark.parametrize("code", ["42703", "42P01", "42501", "57014", "40001", "53200"])
def test_what_is_no_fault_of_a_row_is_told_in_the_words_of_the_server(code: str) -> None:
    """Which column is gone, or which right is lacking: whoever owns the source must learn it."""
    assert reason(Raised(code)).endswith(": secret-1")
    assert not may_be_of_one_row(Raised(code))
