"""The states of a job and of a batch, and what goes wrong with them, each explained, with values ready for the wire."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands. See the view `job_status`."""

    QUEUED = "queued"  # accepted and durable; no batch of it was claimed yet
    RUNNING = "running"  # at least one batch was claimed, and rows are still open
    SUCCEEDED = "succeeded"  # every row has its answer or its stated error, and at least one an answer
    FAILED = "failed"  # every row has a stated error
    CANCELLED = "cancelled"  # the caller stopped it; what was scored before stays

    @property
    def is_terminal(self) -> bool:
        """Whether the job can no longer change."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class Queue(StrEnum):
    """What workers take from: single predictions never wait behind a million rows."""

    INTERACTIVE = "interactive"  # batches of single jobs
    PLAN = "plan"  # selections whose rows are still to be found
    BULK = "bulk"  # batches of bulk jobs


SCORING_QUEUES = (Queue.INTERACTIVE, Queue.BULK)  # what scoring processes take from; plans have a process of their own


class RowError(StrEnum):
    """Why a row has an error in place of an answer, as stored in `batch_outputs.error_codes`."""

    UNKNOWN_CLIENT = "unknown_client"  # the source has no client of this key
    AMBIGUOUS_KEY = "ambiguous_key"  # the source has more than one row of this key
    INVALID_KEY = "invalid_key"  # the source cannot have such a key
    MISSING_FEATURE = "missing_feature"  # a feature that the model needs is null
    INVALID_FEATURE = "invalid_feature"  # a feature has a value that the model does not know
    MODEL_FAILED = "model_failed"  # the model raised, hung or killed its process on this very row
    MODEL_UNAVAILABLE = "model_unavailable"  # the model version cannot be loaded by any worker that tried
    SOURCE_FAILED = "source_failed"  # the source answers, and cannot give what the model needs
    FEATURES_TOO_LARGE = "features_too_large"  # the features of its batch are more than a page may have
    SOURCE_UNAVAILABLE = "source_unavailable"  # the source was away for too long
    BATCH_FAILED = "batch_failed"  # the service itself could not answer the batch, at any attempt
    DEADLINE_PASSED = "deadline_passed"  # its job had a deadline, and it was not answered by then
    ERASED = "erased"  # the client was erased; the row stays, and nothing of her
    INVALID_PROBABILITY = "invalid_probability"  # the model answered NaN, something outside 0…1, or 0 for each class
    INVALID_VALUE = "invalid_value"  # a regression answered NaN or something infinite


class JobError(StrEnum):
    """What became of a bulk job as a whole, as stored in `jobs.error_code`. After all but the last it has failed."""

    TOO_MANY_ROWS = "too_many_rows"  # its selection has more rows than one job may have
    SOURCE_UNAVAILABLE = "source_unavailable"  # its source could not be read at any attempt
    PLANNING_FAILED = "planning_failed"  # something else went wrong at each attempt to find its rows
    UPLOAD_REFUSED = "upload_refused"  # its file is no table, or values of it do not fit
    UPLOAD_GONE = "upload_gone"  # its file was erased before its rows were read
    DEADLINE_PASSED = "deadline_passed"  # it was not answered as a whole by then; what was answered stays
