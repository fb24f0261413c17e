"""Who a token of the identity provider stands for, and what they may do here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, ExpiredTokenError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact
from joserfc.jwt import JWTClaimsRegistry

from api.access.oidc.discovery import Discovery
from api.access.oidc.groups import rights_of
from api.access.oidc.person import InNoGroup, KeyNotKnown, Person, TokenExpired, TokenRefused
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

    def person(self, token: str, *, asks: bool = True) -> Person:
        """Who it stands for. Raises TokenRefused, and ProviderAway where the provider's keys cannot be had.

        Without `asks` the provider is not asked for keys, and KeyNotKnown is raised where it would be.
        """
        return self._person(self._claims(token, self.settings.audience, asks=asks))

    def signed_in(self, id_token: str, nonce: str) -> Person:
        """Who has signed in at the screens, by the token that came for the sign-in of this nonce.

        Raises TokenRefused and ProviderAway.
        """
        claims = self._claims(id_token, self.settings.client_id)
        said = claims.get("nonce")
        if not isinstance(said, str) or not compare_digest(said.encode("utf-8", "replace"), nonce.encode()):
            raise TokenRefused("The token is of another sign-in.")
        if claims.get("azp", self.settings.client_id) != self.settings.client_id:
            raise TokenRefused("The token was given to another service.")
        return self._person(claims)

    def _person(self, claims: Mapping[str, Any]) -> Person:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            raise TokenRefused("The token names nobody.")
        member_of = _groups_in(claims, self.settings.groups_claim)
        rights = rights_of(self.settings.groups, member_of)
        if rights is None:
            raise InNoGroup
        name = claims.get("name")
        known = tuple(dict.fromkeys(entry.group for entry in self.settings.groups if entry.group in member_of))
        return Person(subject, name if isinstance(name, str) else None, rights, known)

    def _claims(self, token: str, audience: str, *, asks: bool = True) -> Mapping[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused("The token is too long.")
        try:
            claims = self._signed(token, asks=asks)
            self._check(claims, audience)
        except ExpiredTokenError:
            raise TokenExpired from None
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused(f"The token is not valid ({type(error).__name__}).") from None
        return claims

    def _signed(self, token: str, *, asks: bool) -> dict[str, Any]:
        """What a token says, once one of the provider's keys fits its signature. Raises JoseError and KeyNotKnown."""
        named = extract_compact(token.encode("ascii")).headers().get("kid")
        kid = named if isinstance(named, str) else None
        keys = self._keys.keys(kid) if asks else self._keys.known(kid)
        if keys is None:
            raise KeyNotKnown
        try:
            return self._decoded(token, keys, kid)
        except BadSignatureError:
            if not asks:
                raise KeyNotKnown from None
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

    def _check(self, claims: dict[str, Any], audience: str) -> None:
        registry = JWTClaimsRegistry(
            now=int(time.time()),
            leeway=int(self.settings.clock_skew_seconds),
            iss={"essential": True, "values": [self.settings.issuer, f"{self.settings.issuer}/"]},
            aud={"essential": True, "value": audience},
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
