"""What the members of a provider's groups may do here, as PREDICTQ_OIDC_GROUPS says it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from shared.config import SettingsRefused
from shared.jobs.accepting.model_choice import is_model_name

_VARIABLE = "PREDICTQ_OIDC_GROUPS"


class GroupRights(BaseModel):
    """One group: whose jobs its members see and make, by which API roles, of which models (None: all)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str = Field(min_length=1)
    owner: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    roles: tuple[Literal["read", "predict", "bulk", "features", "operate", "admin"], ...] = Field(min_length=1)
    models: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> GroupRights:
        if self.models is not None and "admin" in self.roles:
            raise ValueError("admin is for all models")
        if self.owner != self.owner.strip():
            raise ValueError("an owner's name has no blanks at its ends: it would be another owner")
        if wrong := [name for name in self.models or () if not is_model_name(name)]:
            raise ValueError(f"no model can be called {wrong[0][:100]!r}")
        return self


_GROUPS = TypeAdapter(tuple[GroupRights, ...])


def read_groups(text: str) -> tuple[GroupRights, ...]:
    """The groups of the setting, in its order. Raises SettingsRefused."""
    try:
        return _GROUPS.validate_json(text or "[]")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingsRefused(f"{_VARIABLE}: {where + ': ' if where else ''}{first['msg']}") from None


def rights_of(groups: Sequence[GroupRights], member_of: Collection[str]) -> GroupRights | None:
    """The first group of the setting that somebody is a member of; None: of none.

    One group counts as a whole. To add up several would give somebody the roles of one for the models of another.
    """
    return next((rights for rights in groups if rights.group in member_of), None)
