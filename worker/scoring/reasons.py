"""Why a batch has failed: for the rows, for operators, and where in the code."""

from __future__ import annotations

import traceback

from model.errors import ArtefactError
from shared.batches.claims import Claim
from shared.errors import PredictqError
from shared.pages.errors import PageTooLarge
from shared.postgres.outages import driver_error, reason
from shared.status import RowError
from worker.scoring.answers import StatedError
from worker.scoring.prediction import storable
from worker.sources.failures import SourceFailed, SourceGivenUp

_TOO_LARGE = (
    "the features of this batch are more than 64 MB: check its source (predictq sources check), which measures how "
    "wide its rows are, or set PREDICTQ_BULK_BATCH_ROWS lower, for single calls PREDICTQ_MAX_GROUP"
)


def final_error(held: Claim, error: Exception) -> StatedError:
    """What callers are told. A batch is shared, so the text of an error, which may hold values of others, is not."""
    if isinstance(error, SourceGivenUp):
        return StatedError(RowError.SOURCE_UNAVAILABLE, storable(str(error)))
    if isinstance(error, SourceFailed):
        return StatedError(RowError.SOURCE_FAILED, storable(str(error)))
    if isinstance(error, PageTooLarge):
        return StatedError(RowError.FEATURES_TOO_LARGE, _TOO_LARGE)
    return StatedError(RowError.BATCH_FAILED, f"batch {held.batch_id} could not be scored")


def cause_of(error: Exception) -> str:
    """What happened, for operators: without values, which the text of an error may repeat."""
    if isinstance(error, PredictqError | ArtefactError) and driver_error(error) is None:
        return storable(str(error))
    return reason(error)


def place_of(error: Exception) -> str:
    """Where in the code, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
