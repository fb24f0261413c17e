"""What the codes of failed rows mean, and what a person can do about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.status import RowError
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
    RowError.SOURCE_UNAVAILABLE: Meaning(N_("The source was away for too long."), _RETRY),
    RowError.BATCH_FAILED: Meaning(N_("The service itself could not answer, at any attempt."), _TELL),
    RowError.DEADLINE_PASSED: Meaning(
        N_("The job's deadline passed before the row was answered."),
        N_("Retry the failed rows, with a later deadline."),
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


def meaning_of(code: str, *, brought_features: bool = False) -> Meaning:
    """What a code means; of one that is not known here, that there is no answer.

    `brought_features`: the rows came with their values, which nobody can mend in a source.
    """
    meaning = MEANINGS.get(RowError(code), _UNKNOWN) if code in set(RowError) else _UNKNOWN
    is_mended_there = meaning.advice in (_LOOK, _FILL_IN)
    return replace(meaning, advice=_UPLOAD_ANEW) if brought_features and is_mended_there else meaning
