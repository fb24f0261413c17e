"""What a caller is told of an errand that failed: a code for programs, and words without values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from model.errors import ArtefactError, NothingAnswered
from shared.errors import FilterRefused, ModelRefused, PredictqError, UploadUnknown
from shared.postgres.outages import driver_error, reason
from shared.sources.errors import SourceInUse, SourceRefused, SourceUnknown
from worker.sources.failures import SourceAway, SourceFailed
from worker.temporary_room import NoTemporaryRoom


class ErrandRefused(PredictqError):
    """What a process apart said of its failure: `code` for programs, the text for people."""

    tells_values: ClassVar[bool] = True

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class LeftToOthers(PredictqError):
    """No failure: these workers have what the errand needs, and this one has not."""

    def __init__(self, able: Sequence[str]) -> None:
        super().__init__(f"left to {', '.join(able)}")
        self.able = list(able)


NOTHING_ANSWERED = "nothing_answered"  # no caller sees it: whoever registers tries other rows first
_CODES: dict[type[Exception], str] = {
    NothingAnswered: NOTHING_ANSWERED,
    SourceAway: "source_unavailable",
    SourceFailed: "source_failed",
    SourceRefused: "source_refused",
    SourceUnknown: "source_unknown",
    SourceInUse: "source_in_use",
    FilterRefused: "filter_refused",
    ArtefactError: "model_refused",
    ModelRefused: "model_refused",
    UploadUnknown: "file_unknown",
    NoTemporaryRoom: "no_room",
}


def describe(error: Exception) -> dict[str, Any]:
    """What a caller is told: a code for programs, a detail for people, without values out of errors of the server."""
    if isinstance(error, ErrandRefused):
        return {"code": error.code, "detail": str(error)}
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "errand_failed")
    if isinstance(error, PredictqError) and driver_error(error) is None:
        return {"code": code, "detail": str(error)}
    return {"code": code, "detail": f"The worker failed: {reason(error)}."}
