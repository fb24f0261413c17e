"""What can go wrong between data and artefact, by name."""

from __future__ import annotations

from typing import ClassVar

from shared.errors import PredictqError


class DataRefused(PredictqError):
    """Training data cannot be read or cannot be learnt from; the text says where and why."""

    tells_values: ClassVar[bool] = True


class ArtefactError(PredictqError):
    """Base of every reason not to serve an artefact. Its text may quote what code of the file has raised."""

    tells_values: ClassVar[bool] = True


class ArtefactCorrupt(ArtefactError):
    """The bytes or the metadata are not what was saved or registered."""


class ArtefactIncompatible(ArtefactError):
    """The artefact is whole, but this process must not, or cannot, serve it."""


class SealRefused(ArtefactError):
    """A seal is missing, broken, of another file or by nobody who is trusted; the text says which."""

    tells_values: ClassVar[bool] = False


class ModelRefused(ArtefactError):
    """A file is not registered; the text says why and what to do. `can_force`: a person may register it still."""

    def __init__(self, detail: str, *, can_force: bool = False) -> None:
        super().__init__(detail)
        self.can_force = can_force


def doubted(found: str) -> ModelRefused:
    """The refusal of a model of which this was found, and which a person who knows better may register still."""
    mend = "Or mend" if "--threshold" in found else "Mend"  # it says already what else to do
    return ModelRefused(
        f'{found}. {mend} the model, or register it all the same with --force "REASON".', can_force=True
    )


class NothingAnswered(ModelRefused):
    """A model has answered none of the rows that were drawn for it: others may be more to its liking."""
