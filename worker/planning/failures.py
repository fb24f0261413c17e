"""Why a plan stops before its end. The words are for the owner of the job: they hold no key, no value, no address."""

from __future__ import annotations

from shared.errors import FilterRefused, PredictqError
from shared.jobs.planning import JobError
from shared.postgres.outages import LOCKED, driver_error, is_outage, reason
from worker.sources.failures import SourceAway, advice
from worker.temporary_room import NoTemporaryRoom


class PlanFailed(PredictqError):
    """An attempt to plan came to nothing. `code` is what the job ends with when there is no attempt left."""

    def __init__(self, code: JobError, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class TooManyRows(PlanFailed):
    """The selection is beyond what one job may have. No other attempt can help."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            JobError.TOO_MANY_ROWS,
            f"The job selects more than {limit:,} clients, and one job may have no more. Narrow its filter, or split "
            "it into several jobs, or ask the operator for a higher PREDICTQ_MAX_JOB_ROWS. What was answered stays.",
        )


class SourceStalled(PlanFailed):
    """The source gave no key for too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            JobError.SOURCE_UNAVAILABLE,
            f"The source gave no client for {seconds:g} s. An index on the columns of the filter helps.",
        )


class PlanSourceAway(PlanFailed):
    """The source does not answer, or is locked by somebody: no fault of the plan, and not counted as an attempt."""

    def __init__(self, detail: str) -> None:
        super().__init__(JobError.SOURCE_UNAVAILABLE, detail)


class PlanSourceRefuses(PlanFailed):
    """A right, the relation or a column of the source is gone."""


class UploadRefusedAtPlan(PlanFailed):
    """The file of a job is none that it can be made of, or is gone. No other attempt can help."""


class PlanGivenBack(PredictqError):
    """Somebody else plans on later: this planner stops, or there is no room for more rows now."""


def source_failure(name: str, error: Exception) -> PlanFailed:
    """What a failed reading of the source `name` is called."""
    if isinstance(error, PlanFailed):
        return error
    if isinstance(error, SourceAway):
        return PlanSourceAway(str(error))
    if isinstance(error, NoTemporaryRoom):
        return PlanFailed(JobError.PLANNING_FAILED, str(error))
    cause = driver_error(error)
    if cause is not None and cause.pgcode == LOCKED:
        return PlanSourceAway(
            "The source is locked by somebody else, for example by an ALTER TABLE that is not committed."
        )
    if is_outage(error):
        return PlanFailed(JobError.SOURCE_UNAVAILABLE, "The source does not answer.")
    said = _reason(error)
    told = advice(name, error)
    if not told:
        return PlanFailed(JobError.PLANNING_FAILED, said)
    return PlanSourceRefuses(JobError.PLANNING_FAILED, f"The source {name} cannot be read: {said}.{told}")


def planning_failure(error: Exception) -> PlanFailed:
    """What any other failure of an attempt is called."""
    if isinstance(error, PlanFailed):
        return error
    return PlanFailed(JobError.PLANNING_FAILED, _reason(error))


def _reason(error: Exception) -> str:
    """The first line of the reason, without values."""
    if isinstance(error, FilterRefused):
        return f"The filter does not fit the source any more: column {error.column}."
    if isinstance(error, PredictqError) and driver_error(error) is None:
        return str(error).partition("\n")[0]
    return reason(error)
