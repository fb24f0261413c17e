"""Which version a call's choice of a model stands for, as the registry is now."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.errors import VersionRetired
from shared.jobs.accepting.model_choice import ModelChoice
from shared.models.registry import ModelVersion, find_version, live_version


def chosen_version(connection: Connection, choice: ModelChoice) -> ModelVersion:
    """The version that is named, or else the live one. Raises PredictqError: none such, none live, or retired."""
    if choice.model is not None and choice.version is not None:
        found = find_version(connection, choice.model, choice.version)
    else:
        found = live_version(connection, choice.model)
    if found.retired_at is not None:
        raise VersionRetired(found.label)
    return found
