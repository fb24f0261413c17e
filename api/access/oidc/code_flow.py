"""Signing in at an identity provider: OpenID Connect's authorization code flow, with PKCE, state and nonce.

Nothing is stored of a sign-in that has begun. Its browser has a random secret in a cookie. State, nonce and verifier
are made from that, so an answer of the provider counts in the browser that began the sign-in, and in no other.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hmac import compare_digest
from typing import TypeVar
from urllib.parse import quote, urlencode

from api.access.oidc.discovery import Discovery
from api.access.oidc.fetch import ProviderAway, check_address, post_form
from api.access.oidc.groups import GroupRights, rights_of
from api.access.oidc.person import IdTokens, Person
from api.access.oidc.settings import OidcSettings

T = TypeVar("T")

_LONGEST = 4096  # of a code
_THREADS = 4
_SECONDS = 15.0  # the provider is asked up to three times: for its document, the token and its keys


@dataclass(frozen=True, slots=True, repr=False)
class Attempt:
    """One sign-in: the secret of the browser that began it, and the address that the provider leads back to."""

    secret: str
    back: str

    @property
    def state(self) -> str:
        """What the provider hands back, so that the browser's answer is known to be to its own question."""
        return self._made_for(b"state")

    @property
    def nonce(self) -> str:
        """What the provider writes into its token, so that no token of another sign-in counts."""
        return self._made_for(b"nonce")

    @property
    def verifier(self) -> str:
        """What shows the provider that whoever brings a code began the sign-in (PKCE)."""
        return self._made_for(b"verifier")

    @property
    def challenge(self) -> str:
        """What the provider hears of the verifier before."""
        return _base64(hashlib.sha256(self.verifier.encode("ascii")).digest())

    def is_answered_by(self, state: str) -> bool:
        """Whether an answer of the provider is to this sign-in."""
        return compare_digest(self.state.encode(), state.encode("utf-8", "replace"))

    def _made_for(self, purpose: bytes) -> str:
        made = hashlib.blake2b(self.secret.encode("utf-8", "replace"), digest_size=32, person=purpose)
        return _base64(made.digest())


class CodeFlow:
    """The way to the provider and back, which is asked in a few threads: a slow one holds up nothing else."""

    def __init__(self, settings: OidcSettings, discovery: Discovery, id_tokens: IdTokens) -> None:
        self._settings = settings
        self._discovery = discovery
        self._id_tokens = id_tokens
        self._threads = ThreadPoolExecutor(_THREADS, "sign-in")

    def close(self) -> None:
        """Nobody signs in any more; threads that still ask are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def issuer(self) -> str:
        """The provider, as its tokens name it."""
        return self._settings.issuer

    def rights_of(self, issuer: str, groups: Collection[str]) -> GroupRights | None:
        """What somebody may who signed in before, by the settings as they are now; None: nothing any more."""
        return rights_of(self._settings.groups, groups) if issuer == self.issuer else None

    async def address(self, attempt: Attempt) -> str:
        """Where a browser goes to sign in. Raises ProviderAway."""
        return await self._in_time(lambda: self._address(attempt))

    async def person(self, attempt: Attempt, code: str) -> Person:
        """Who has signed in. Raises ProviderAway, ProviderRefuses and TokenRefused."""
        return await self._in_time(lambda: self._person(attempt, code))

    async def _in_time(self, ask: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except TimeoutError:
            raise ProviderAway(f"it takes more than {_SECONDS:g} s") from None

    def _address(self, attempt: Attempt) -> str:
        endpoint = self._discovery.document().authorization_endpoint
        check_address(endpoint, allows_http=self._settings.allows_http)
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": attempt.back,
            "scope": self._settings.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def _person(self, attempt: Attempt, code: str) -> Person:
        document = self._discovery.document()
        form = {
            "grant_type": "authorization_code",
            "code": code[:_LONGEST],
            "redirect_uri": attempt.back,
            "code_verifier": attempt.verifier,
        }
        own, headers = self._identification(takes_basic=document.takes_basic)
        said = post_form(document.token_endpoint, {**form, **own}, headers, allows_http=self._settings.allows_http)
        token = said.get("id_token")
        if not isinstance(token, str):
            raise ProviderAway("it gave no id_token")
        return self._id_tokens.signed_in(token, attempt.nonce)

    def _identification(self, *, takes_basic: bool) -> tuple[dict[str, str], dict[str, str]]:
        """What says, in the form and in the head of a call, that it is this service's."""
        own, secret = self._settings.client_id, self._settings.client_secret
        if secret is None:
            return {"client_id": own}, {}
        if not takes_basic:
            return {"client_id": own, "client_secret": secret.get_secret_value()}, {}
        both = f"{quote(own, safe='')}:{quote(secret.get_secret_value(), safe='')}"
        return {}, {"Authorization": f"Basic {base64.b64encode(both.encode('ascii')).decode('ascii')}"}


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
