"""Why a source was not read. No text here holds a key, a value, a statement or an address."""

from __future__ import annotations

from shlex import quote

from shared.errors import PredictqError
from shared.postgres.outages import CANCELLED, LOCKED, READ_ONLY, driver_error, is_misfit, is_outage, reason


class SourceAway(PredictqError):
    """The source cannot be reached, refuses, or is locked by somebody: later it may answer."""


class SourceGivenUp(SourceAway):
    """It has been away for too long: rows that need it end in an error."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The source {name} has not answered for too long.")


class SourceFailed(PredictqError):
    """The source answered that it cannot give what was asked: a column is gone, a view raises, it takes too long."""


class SourceRefuses(SourceFailed):
    """A right, the relation or a column of it is gone or has changed: an admin has to do something about it."""


def source_failure(name: str, error: Exception) -> SourceAway | SourceFailed:
    """What a failed reading of the source `name` is called."""
    cause = driver_error(error)
    code = None if cause is None else cause.pgcode
    if code == LOCKED:
        return SourceAway(f"The source {name} is locked by somebody else, for example by an open ALTER TABLE.")
    if code == CANCELLED:
        return SourceFailed(f"The source {name} did not answer in time.")
    if code == "55000":  # what PostgreSQL says of a materialized view that was never filled
        todo = "A materialized view WITH NO DATA is filled by its owner: REFRESH MATERIALIZED VIEW …"
        return SourceFailed(f"The source {name} cannot be read: {reason(error)}. {todo}")
    if code != READ_ONLY and is_outage(error):
        return SourceAway(f"The source {name} does not answer: {reason(error)}.")
    kind = SourceRefuses if is_misfit(error) else SourceFailed
    return kind(f"The source {name} cannot be read: {reason(error)}.{advice(name, error)}")


def advice(name: str, error: Exception) -> str:
    """What to do where a right, the relation or a column is gone or has changed.

    A sentence with a blank before it, or nothing.
    """
    if not is_misfit(error):
        return ""
    return f" An admin sees what to do with: predictq sources check {quote(name)}"
