"""What the codes of failed rows and of whole jobs mean, and what a person can do about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.status import JobError, RowError
from web.words.catalogues import N_


@dataclass(frozen=True, slots=True)
class Meaning:
    """What happened, and what to do."""

    what: str
    advice: str


_LOOK = N_("Look at the rows, mend them where they come from, then retry the failed rows.")
_FILL_IN = N_("Fill it in at the source, then retry the failed rows.")
_UPLOAD_ANEW = N_("Correct these rows in the file, and send them anew: a retry would send the same values.")
_RETRY = N_("Retry the failed rows once it is mended.")
_TELL = N_("Tell the operator the batch's number: the reason stands in the worker's log.")

MEANINGS = {
    RowError.UNKNOWN_CLIENT: Meaning(N_("The source has no client of this key."), _LOOK),
    RowError.AMBIGUOUS_KEY: Meaning(
        N_("The source has more than one row of this key."), N_("Make the key unique in the source, then retry.")
    ),
    RowError.INVALID_KEY: Meaning(
        N_("The source cannot have such a key."), N_("Correct the key where the job's list comes from.")
    ),
    RowError.MISSING_FEATURE: Meaning(N_("A feature that the model needs is missing."), _FILL_IN),
    RowError.INVALID_FEATURE: Meaning(N_("A feature has a value that the model does not know."), _LOOK),
    RowError.MODEL_FAILED: Meaning(
        N_("The model fails on this very row."), N_("Show the row to whoever made the model.")
    ),
    RowError.MODEL_UNAVAILABLE: Meaning(
        N_("No worker could load the model version."), N_("Start a worker that has its libraries, then retry.")
    ),
    RowError.SOURCE_FAILED: Meaning(
        N_("The source answers, and cannot give what the model needs."), N_("Check the source, then retry.")
    ),
    RowError.FEATURES_TOO_LARGE: Meaning(
        N_("The features of its batch are more than one page may have."),
        N_("Ask the operator to check the source, which measures how wide its rows are; then retry the failed rows."),
    ),
    RowError.SOURCE_UNAVAILABLE: Meaning(N_("The source was away for too long."), _RETRY),
    RowError.BATCH_FAILED: Meaning(N_("The service itself could not answer, at any attempt."), _TELL),
    RowError.DEADLINE_PASSED: Meaning(
        N_("The job's deadline passed before the row was answered."),
        N_("Retry the failed rows: the new job has no deadline."),
    ),
    RowError.ERASED: Meaning(N_("The client was erased."), N_("Nothing: nothing of the client is left.")),
    RowError.INVALID_PROBABILITY: Meaning(
        N_("The model answered with no probability."), N_("Show the row to whoever made the model.")
    ),
    RowError.INVALID_VALUE: Meaning(
        N_("The model answered with no number."), N_("Show the row to whoever made the model.")
    ),
}
_UNKNOWN = Meaning(N_("The row has no answer."), _TELL)

_OF_JOBS = {
    JobError.TOO_MANY_ROWS: Meaning(
        N_("The job has more rows than one job may have."), N_("Split it: narrow the filter, or cut the file.")
    ),
    JobError.SOURCE_UNAVAILABLE: Meaning(
        N_("The source could not be read at any attempt."), N_("Repeat the job once it is mended.")
    ),
    JobError.PLANNING_FAILED: Meaning(
        N_("The rows of the job could not be found at any attempt."),
        N_("Repeat the job once that is mended; the operator finds more of it in the planner's log."),
    ),
    JobError.UPLOAD_REFUSED: Meaning(
        N_("The file of the job cannot be scored."), N_("Correct the file, then send it anew.")
    ),
    JobError.UPLOAD_GONE: Meaning(N_("The file of the job was gone before it was read."), N_("Send the file anew.")),
    JobError.DEADLINE_PASSED: Meaning(
        N_("The deadline passed before the job was answered as a whole. Answers that are there stay."),
        N_("Retry the failed rows, or repeat the job: the new one has no deadline."),
    ),
}
_UNKNOWN_OF_JOB = Meaning(N_("The job could not be carried out."), N_("Tell the operator the id of the job."))


def meaning_of_job(code: str) -> Meaning:
    """What the error of a bulk job as a whole means; of one that is not known here, that it could not be done."""
    return _OF_JOBS[JobError(code)] if code in set(JobError) else _UNKNOWN_OF_JOB


def meaning_of(code: str, *, brought_features: bool = False) -> Meaning:
    """What a code means; of one that is not known here, that there is no answer.

    `brought_features`: the rows came with their values, which nobody can mend in a source.
    """
    meaning = MEANINGS.get(RowError(code), _UNKNOWN) if code in set(RowError) else _UNKNOWN
    is_mended_there = meaning.advice in (_LOOK, _FILL_IN)
    return replace(meaning, advice=_UPLOAD_ANEW) if brought_features and is_mended_there else meaning
