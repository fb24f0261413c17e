"""What can go wrong, by name. No HTTP in here: `api.http.problems` turns these into responses."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.models.feature import FeatureProblem


class PredictqError(Exception):
    """Base of every error that predictq raises on purpose; its text is fit for a user."""


class DatabaseUnavailable(PredictqError):
    """PostgreSQL cannot be reached, or refuses connections.

    The text names the server as the driver does: it is for operators, not for callers of the gateway.
    """

    def __init__(self, cause: BaseException) -> None:
        first_line = str(cause).strip().partition("\n")[0]
        super().__init__(f"PostgreSQL does not answer: {first_line}")


class DatabaseBlocked(DatabaseUnavailable):
    """PostgreSQL waited in vain for a lock that somebody else holds. Nothing was changed."""


class OutcomeOpen(DatabaseUnavailable):
    """PostgreSQL fell silent while it accepted a job, which may be there or still get there."""

    def __init__(self) -> None:
        PredictqError.__init__(
            self,
            "PostgreSQL does not answer. Whether the job was accepted is open: send it again with the same "
            "Idempotency-Key, and it is accepted once.",
        )


class ClientUnknown(PredictqError):
    """A single prediction names a client that is not in `clients`."""

    def __init__(self, client_id: int) -> None:
        super().__init__(f"There is no client {client_id}. Import it first, or send its features to /v1/predict_raw.")
        self.client_id = client_id


class NoLiveModel(PredictqError):
    """No model version is live, so nothing can be scored."""

    def __init__(self) -> None:
        super().__init__("No model is live. Train and promote one: predictq train --promote")


class ModelChanged(PredictqError):
    """Another model version went live after the features of this call were checked."""

    def __init__(self, version: int) -> None:
        super().__init__(f"Model version {version} went live during this call. Send it again.")


class ModelVersionUnknown(PredictqError):
    """The model version does not exist."""

    def __init__(self, version: int) -> None:
        super().__init__(f"There is no model version {version}. List them with GET /v1/models.")


class FeaturesRefused(PredictqError):
    """The features given in a call do not fit the live model's signature."""

    def __init__(self, problems: Sequence[FeatureProblem]) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = tuple(problems)


class FilterRefused(PredictqError):
    """A bulk filter names a column or a value that cannot be compared."""

    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column


class NothingSelected(PredictqError):
    """A bulk job would hold no row."""

    def __init__(self) -> None:
        super().__init__("The job holds no client id. Send at least one.")


class IdempotencyKeyReused(PredictqError):
    """The same Idempotency-Key came with another payload."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used with another payload. Send a new key for a new job.")


class IdempotencyKeyInFlight(PredictqError):
    """A request with the same Idempotency-Key is still being accepted."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is still in flight. Retry in a moment.")


class JobUnknown(PredictqError):
    """No such job, or it belongs to another owner."""

    def __init__(self, job_id: UUID | str) -> None:
        super().__init__(f"There is no job {job_id}.")


class PredictionUnknown(PredictqError):
    """No such request, or it belongs to another owner."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"There is no prediction {request_id[:80]}. A request id looks like 1042-7.")


class Erased(PredictqError):
    """What was asked for belonged to a client who was erased. Its row stays, and nothing of her."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what[:80]} was of a client who has been erased. Nothing of it is left.")


class Backlogged(PredictqError):
    """So much work is waiting that more would only grow the queue."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting:,} rows are waiting; the service accepts more when fewer than {limit:,} are.")


class QuotaExceeded(PredictqError):
    """The caller has as much work waiting as its quota allows."""

    def __init__(self, owner: str, waiting: int, limit: int) -> None:
        super().__init__(f"{owner} has {waiting:,} rows waiting and a quota of {limit:,}. Wait until some are done.")


class JobTooLarge(PredictqError):
    """The job alone has more rows than may ever wait, for its owner or for everybody: waiting cannot help it.

    `owner` is whose quota it is beyond; None where it is the limit of the whole service.
    """

    def __init__(self, rows: int, limit: int, owner: str | None) -> None:
        whose = f"{owner} has a quota of" if owner else "the service takes"
        advice = f"Split it into jobs of at most {limit:,} rows, or ask the operator for a higher "
        super().__init__(
            f"The job has {rows:,} rows, and {whose} {limit:,} waiting rows, so it can never be accepted. "
            f"{advice}{'quota' if owner else 'limit'}."
        )


class FenceLost(PredictqError):
    """A batch was claimed anew, or cancelled, while this worker still scored it: its work must not be kept."""

    def __init__(self, batch_id: int, fence: int) -> None:
        super().__init__(f"batch {batch_id}: claim {fence} is no longer the newest, its answers are dropped")


class SchemaOutdated(PredictqError):
    """The database is not at the revision that this code needs."""

    def __init__(self, found: str | None, needed: str) -> None:
        super().__init__(f"The database is at schema {found or 'none'}, this code needs {needed}: run predictq migrate")
