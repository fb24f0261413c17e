"""The states of a job and of a batch, each explained, with values ready for the wire."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands. Derived by the view `job_status`, never stored."""

    QUEUED = "queued"  # accepted and durable; no batch of it was claimed yet
    RUNNING = "running"  # at least one batch was claimed, and rows are still open
    SUCCEEDED = "succeeded"  # every row has its answer or its stated error, and at least one an answer
    FAILED = "failed"  # every row has a stated error
    CANCELLED = "cancelled"  # the caller stopped it; what was scored before stays

    @property
    def is_terminal(self) -> bool:
        """Whether the job can no longer change."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class BatchStatus(StrEnum):
    """Where a batch stands, as stored in `prediction_batches.status`."""

    QUEUED = "queued"  # waits for a worker to claim it
    RUNNING = "running"  # claimed under a lease; claimable again when the lease runs out
    FINISHED = "finished"  # all its outputs are committed
    CANCELLED = "cancelled"  # its job was cancelled before it finished


class Queue(StrEnum):
    """The Celery queues: single predictions never wait behind a million rows."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class RowError(StrEnum):
    """Why a row has an error in place of an answer, as stored in `prediction_outputs.error_code`."""

    UNKNOWN_CLIENT = "unknown_client"  # the client id is not in `clients`
    MISSING_FEATURE = "missing_feature"  # a feature that the model needs is null
    INVALID_FEATURE = "invalid_feature"  # a feature has a value that the model does not know
    MODEL_FAILED = "model_failed"  # the model raised, hung or killed its process on this very row
    MODEL_UNAVAILABLE = "model_unavailable"  # the model version cannot be loaded by any worker that tried
    INVALID_PROBABILITY = "invalid_probability"  # the model answered NaN or something outside 0…1
