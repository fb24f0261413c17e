"""What can go wrong, by name. No HTTP in here: `api.http.problems` turns these into responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from shared.models.feature import FeatureProblem
from shared.sentences import Sentence, those_there_are
from shared.told_errors import words_of


class PredictqError(Exception):
    """Base of every error that predictq raises on purpose; its text is fit for a user."""

    tells_values: ClassVar[bool] = False  # whether the text may repeat what somebody sent: then no log has it


class DatabaseUnavailable(PredictqError):
    """PostgreSQL cannot be reached, or refuses connections.

    The text names the server as the driver does: it is for operators. Callers of the gateway are told `for_callers`.
    """

    for_callers: ClassVar[str] = "PostgreSQL does not answer."
    may_be_repeated: ClassVar[bool] = True  # whether another connection may bring an answer

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"{self.for_callers.partition('.')[0]}: {words_of(cause)}")


class DatabaseBlocked(DatabaseUnavailable):
    """PostgreSQL waited in vain for a lock that somebody else holds. Nothing was changed."""


class AnswerLate(DatabaseUnavailable):
    """A call gave up before PostgreSQL had answered: it is away, or has much to do, or the question was a large one."""

    for_callers = "PostgreSQL has not answered in time. It has too much to do, or is away."


class DatabaseReadOnly(DatabaseUnavailable):
    """PostgreSQL answers, and takes no writes, as after a failover to a standby. Nothing was changed."""

    for_callers = "PostgreSQL is read-only. Nothing was changed: try again when it takes writes."
    may_be_repeated = False


class DatabaseFull(DatabaseUnavailable):
    """PostgreSQL answers, and has no room on its disk for what is written. Nothing was changed."""

    for_callers = "PostgreSQL's disk is full. Nothing was changed: try again when there is room."
    may_be_repeated = False


class StatementCancelled(DatabaseUnavailable):
    """PostgreSQL answers, and gave up a statement: its time was over, or somebody cancelled it."""

    for_callers = "PostgreSQL cancelled a statement, which took too long or was stopped by somebody. It is not away."
    may_be_repeated = False


class OutcomeOpen(DatabaseUnavailable):
    """PostgreSQL fell silent while it accepted a job, which may be there or still get there."""

    for_callers = (
        "PostgreSQL does not answer. Whether the job was accepted is open: send it again with the same "
        "Idempotency-Key, and it is accepted once."
    )

    def __init__(self) -> None:
        PredictqError.__init__(self, self.for_callers)


class ClientUnknown(PredictqError):
    """A single prediction names a client that its source does not have. The key stands in no text: texts reach logs."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"The source {source} has no client with this key. Its features can be sent instead: POST /v1/predict_raw."
        )


class SourceTooSlow(PredictqError):
    """A single prediction by key, of a source that has no way to one key but reading all of them."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"The source {source} is read as a whole, and one prediction cannot wait for that. Send a bulk job, or the "
            f"features. If it was measured at a busy moment, predictq sources check {source} measures anew."
        )


class SourceNeeded(PredictqError):
    """Clients were named for a model whose features come with each call."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Model {model} has no source: its features come with each call or upload.")


class OtherSource(PredictqError):
    """Rows of an earlier job are of clients of another source than the model reads now."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Model {model} reads another source now than for this job. Ask for its clients in a new job.")


class NoLiveModel(PredictqError):
    """No version is live, of the model that was named or of any, so nothing can be scored."""

    def __init__(self, model: str | None = None) -> None:
        if model is None:
            text = "No model is live. An operator promotes one: predictq promote NAME"
        else:
            text = (
                f"No version of model {model} is live: none was promoted yet, or it was taken out of service. Ask who "
                f"runs it; predictq models show {model} has its versions."
            )
        super().__init__(Sentence(text, "" if model is None else "no-live-version", name=model))
        self.model = model


class ModelRequired(PredictqError):
    """The call names no model, and none is the default; with `theirs` none that the caller may use, who may use these.

    Which model is the default such a caller is not told.
    """

    def __init__(self, theirs: Sequence[str] | None = None) -> None:
        if theirs is None:
            text = "Name a model: none is the default. An admin chooses one with predictq models default NAME."
            super().__init__(Sentence(text))
        else:
            text = f"Name a model, as none of yours is the default: one of {', '.join(theirs)}."
            super().__init__(Sentence(text, "default-of-others", models=list(theirs)))


class ModelUnknown(PredictqError):
    """No model has this name; `others` are those that there are, for whoever may know of them."""

    def __init__(self, name: str, others: Sequence[str] = ()) -> None:
        super().__init__(Sentence(f"There is no model {name[:100]!r}.{those_there_are(others)}", name=name[:100]))


class ModelChanged(PredictqError):
    """Another version went live after the features of this call were checked."""

    def __init__(self, version: int) -> None:
        super().__init__(f"Version {version} of the model went live during this call. Send it again.")


class ModelVersionUnknown(PredictqError):
    """The model version does not exist."""

    def __init__(self, version: str) -> None:
        super().__init__(Sentence(f"There is no model version {version[:120]}.", version=version[:120]))


class VersionRetired(PredictqError):
    """The version's file is gone."""

    def __init__(self, label: str) -> None:
        super().__init__(Sentence(f"{label} was retired: its file is gone. Register the file again.", version=label))


class NothingToRollBack(PredictqError):
    """No other version of the model was live before."""

    def __init__(self, model: str) -> None:
        text = f"No other version of model {model} was live before, so none can come back. Promote one."
        super().__init__(Sentence(text, name=model))


class ModelRefused(PredictqError):
    """A model cannot be registered, promoted or retired as it was asked."""


class UploadUnknown(PredictqError):
    """No file of this owner has this id, or it is not whole, or has expired, or an erasure has taken it."""

    def __init__(self, upload_id: UUID) -> None:
        text = f"There is no file {upload_id}. Files are kept for a day, or until an erasure; send it again."
        super().__init__(Sentence(text, id=str(upload_id)))


class ExportUnknown(PredictqError):
    """No file of answers of this owner has this id, or it has expired."""

    def __init__(self, export_id: UUID) -> None:
        super().__init__(f"There is no export {export_id}. Exports are kept for a day; ask for it again.")


class FeaturesRefused(PredictqError):
    """The features given in a call do not fit the live model's signature."""

    tells_values = True

    def __init__(self, problems: Sequence[FeatureProblem]) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = tuple(problems)


class FilterRefused(PredictqError):
    """A bulk filter names a column or a value that cannot be compared."""

    tells_values = True

    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column


class NothingSelected(PredictqError):
    """A bulk job would hold no row."""

    def __init__(self, detail: str = "The job holds no client id. Send at least one.") -> None:
        super().__init__(Sentence(detail))


class IdempotencyKeyReused(PredictqError):
    """The same Idempotency-Key came with another payload."""

    def __init__(self) -> None:
        super().__init__(Sentence("This Idempotency-Key was used with another payload. Send a new key for a new job."))


class IdempotencyKeyInFlight(PredictqError):
    """A request with the same Idempotency-Key is still being accepted."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is still in flight. Retry in a moment.")


class JobUnknown(PredictqError):
    """No such job, or it belongs to another owner."""

    def __init__(self, job_id: UUID | str) -> None:
        super().__init__(Sentence(f"There is no job {job_id}.", id=str(job_id)))


class ResultsGone(PredictqError):
    """Rows of a job went while they were read, as retention and erasures take them: what was read is no whole."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"Rows of job {job_id} were deleted while they were read. Ask for its results again.")


class PredictionUnknown(PredictqError):
    """No such request, or it belongs to another owner."""

    def __init__(self, request_id: str) -> None:
        text = f"There is no prediction {request_id[:80]}. A request id looks like 1042-7."
        super().__init__(Sentence(text, id=request_id[:80]))


class Erased(PredictqError):
    """What was asked for belonged to a client who was erased, or named her: then it is gone, and `job_id` is not."""

    def __init__(self, what: str, job_id: UUID | None = None) -> None:
        text = f"{what[:80]} was of a client who has been erased. Nothing of it is left."
        if job_id is not None:
            text = (
                f"{what[:80]} is {job_id}, and may still be read. One of its clients has been erased, so what was "
                "asked is forgotten, and no call can be compared with it. For a new job send a new key."
            )
        super().__init__(text if job_id is None else Sentence(text, "job-asked-for-erased", job_id=str(job_id)))


class Backlogged(PredictqError):
    """So much work is waiting that more would only grow the queue."""

    def __init__(self, waiting: int, limit: int) -> None:
        text = f"{waiting:,} rows are waiting; the service accepts more when fewer than {limit:,} are."
        super().__init__(Sentence(text, waiting=waiting, limit=limit))


class QuotaExceeded(PredictqError):
    """The caller has as much work waiting as its quota allows."""

    def __init__(self, owner: str, waiting: int, limit: int) -> None:
        text = f"{owner} has {waiting:,} rows waiting and a quota of {limit:,}. Wait until some are done."
        super().__init__(Sentence(text, owner=owner, waiting=waiting, limit=limit))


class JobTooLarge(PredictqError):
    """The job alone has more rows than may ever wait, for its owner or for everybody: waiting cannot help it.

    `owner` is whose quota it is beyond; None where it is the limit of the whole service.
    """

    def __init__(self, rows: int, limit: int, owner: str | None) -> None:
        whose = f"{owner} has a quota of" if owner else "the service takes"
        advice = f"Split it into jobs of at most {limit:,} rows, or ask the operator for a higher "
        text = (
            f"The job has {rows:,} rows, and {whose} {limit:,} waiting rows, so it can never be accepted. "
            f"{advice}{'quota' if owner else 'limit'}."
        )
        super().__init__(Sentence(text, rows=rows, limit=limit))


class FenceLost(PredictqError):
    """A batch was claimed anew, or cancelled, while this worker still scored it: its work must not be kept."""

    def __init__(self, batch_id: int, fence: int) -> None:
        super().__init__(f"batch {batch_id}: claim {fence} is no longer the newest, its answers are dropped")


class SchemaOutdated(PredictqError):
    """The database is not at the revision that this code needs."""

    def __init__(self, found: str | None, needed: str) -> None:
        super().__init__(f"The database is at schema {found or 'none'}, this code needs {needed}: run predictq migrate")
