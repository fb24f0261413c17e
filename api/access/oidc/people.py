"""Who a token of the identity provider stands for, and what they may do here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact
from joserfc.jwt import JWTClaimsRegistry

from api.access.oidc.discovery import Discovery
from api.access.oidc.groups import rights_of
from api.access.oidc.person import Person, TokenRefused
from api.access.oidc.settings import OidcSettings
from api.access.oidc.signing_keys import SigningKeys

LONGEST_TOKEN = 16_384
_LONGEST_SUBJECT = 255
_MOST_KEYS = 20  # that one signature is tried with


class People:
    """Checks tokens. For threads: the provider may have to be asked for its keys."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self.discovery = Discovery(settings.issuer, allows_http=settings.allows_http)
        self._keys = SigningKeys(self.discovery, allows_http=settings.allows_http)

    def person(self, token: str) -> Person:
        """Who it stands for. Raises TokenRefused, and ProviderAway where the provider's keys cannot be had."""
        claims = self._claims(token)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            raise TokenRefused("The token names nobody.")
        rights = rights_of(self.settings.groups, _groups_in(claims, self.settings.groups_claim))
        if rights is None:
            raise TokenRefused("You are in none of the groups that may use this service. Ask its operator.")
        name = claims.get("name")
        return Person(subject, name if isinstance(name, str) else None, rights)

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused("The token is too long.")
        try:
            claims = self._signed(token)
            self._check(claims)
        except ExpiredTokenError:
            raise TokenRefused("The token has expired. Sign in again.") from None
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused(f"The token is not valid ({type(error).__name__}).") from None
        return claims

    def _signed(self, token: str) -> dict[str, Any]:
        """What a token says, once one of the provider's keys fits its signature. Raises JoseError."""
        named = extract_compact(token.encode("ascii")).headers().get("kid")
        kid = named if isinstance(named, str) else None
        keys = self._keys.keys(kid)
        try:
            return self._decoded(token, keys, kid)
        except BadSignatureError:
            # Where tokens name no key, new ones can only be noticed by this.
            newer = self._keys.keys_newer_than(keys)
            if newer is None:
                raise
            return self._decoded(token, newer, kid)

    def _decoded(self, token: str, keys: KeySet, kid: str | None) -> dict[str, Any]:
        error: JoseError = BadSignatureError()
        for key in [key for key in keys if kid is None or key.kid in (None, kid)][:_MOST_KEYS]:
            try:
                return jwt.decode(token, key, algorithms=list(self.settings.algorithms)).claims
            except JoseError as refusal:  # of another kind, or for another use
                error = refusal if isinstance(refusal, BadSignatureError) or len(keys.keys) == 1 else error
        raise error

    def _check(self, claims: dict[str, Any]) -> None:
        registry = JWTClaimsRegistry(
            now=int(time.time()),
            leeway=int(self.settings.clock_skew_seconds),
            iss={"essential": True, "values": [self.settings.issuer, f"{self.settings.issuer}/"]},
            aud={"essential": True, "value": self.settings.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        registry.validate(claims)


def _groups_in(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The groups in a claim; `realm_access.roles` is the member of a member."""
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        return frozenset([found])
    return frozenset(group for group in found if isinstance(group, str)) if isinstance(found, list) else frozenset()
