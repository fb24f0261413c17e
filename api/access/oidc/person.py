"""Somebody whom an identity provider has vouched for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from api.access.oidc.groups import GroupRights
from shared.errors import PredictqError


class TokenRefused(PredictqError):
    """A token that does not count, and why."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who called or signed in, and what their group may do."""

    subject: str  # `sub`: who the audit log names
    name: str | None
    rights: GroupRights


class Persons(Protocol):
    """Whoever checks tokens."""

    def person(self, token: str) -> Person:
        """Who it stands for. Raises TokenRefused and ProviderAway."""
        ...
