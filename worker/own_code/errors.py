"""How asking a process for a version can fail, besides by what the model itself raises."""

from __future__ import annotations

from shared.errors import PredictqError


class ModelEnded(PredictqError):
    """The process of the version has ended, hangs, or says what makes no sense: no row is known to be to blame."""
