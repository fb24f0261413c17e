"""Somebody whom an identity provider has vouched for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from api.access.oidc.groups import GroupRights
from shared.errors import PredictqError


class TokenRefused(PredictqError):
    """A token that does not count, and why."""


class TokenExpired(TokenRefused):
    """The token was good, and its time is over."""

    def __init__(self) -> None:
        super().__init__("The token has expired. Sign in again.")


class InNoGroup(TokenRefused):
    """The token is good, and gives no right to anything here."""

    def __init__(self) -> None:
        super().__init__("You are in none of the groups that may use this service. Ask its operator.")


class KeyNotKnown(PredictqError):
    """No key that is known has signed the token: its provider has to be asked for others."""

    def __init__(self) -> None:
        super().__init__("No known key of the identity provider has signed the token.")


@dataclass(frozen=True, slots=True)
class Person:
    """Who called or signed in, and what their group may do."""

    subject: str  # `sub`: who the audit log names
    name: str | None
    rights: GroupRights
    groups: tuple[str, ...]  # of the setting, that they are a member of


class Persons(Protocol):
    """Whoever checks tokens."""

    def person(self, token: str, *, asks: bool = True) -> Person:
        """Who it stands for; without `asks` nobody is waited for. Raises TokenRefused, ProviderAway and KeyNotKnown."""
        ...


class IdTokens(Protocol):
    """Whoever checks what a provider says of somebody who has signed in there."""

    def signed_in(self, id_token: str, nonce: str) -> Person:
        """Who has signed in. Raises TokenRefused and ProviderAway."""
        ...
