"""Signing in by an identity provider: off to it, and back with its answer."""

from __future__ import annotations

import secrets

from starlette.responses import RedirectResponse, Response

from api.access import signing_in
from api.access.oidc.code_flow import Attempt, CodeFlow
from api.access.oidc.fetch import ProviderAway, ProviderRefuses
from api.access.oidc.person import InNoGroup, Person, TokenRefused
from api.http.requests import address_of
from shared.logging import get_logger
from web.frame.api_calls import ApiRefused
from web.frame.refusals import answer_to
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen, own_path
from web.screens.signing_in.by_key import TOO_MANY, show_form, signed_in
from web.sessions import cookies
from web.words.catalogues import N_

log = get_logger(__name__)
routes = ScreenRoutes()

_SECONDS = 20.0  # more than the provider is given
_LONGEST_WAY = 2000  # characters of a path that is remembered meanwhile; a cookie has 4 kB
_REASONS = (  # why a provider signs nobody in (RFC 6749, 4.1.2.1, and OpenID Connect Core, 3.1.2.6)
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_response_type",
)

_AWAY = N_("The identity provider does not answer. Try again in a moment, or sign in with an API key.")
_NOT_BEGUN = N_("This sign-in was not begun in this browser, or it took too long. Begin it again.")
_NO_GROUP = N_("You are in none of the groups that may use this service. Ask its operator.")
_DENIED = N_("The identity provider did not sign you in. Begin again, or ask whoever runs it.")
_NOT_GOOD = N_(
    "What the identity provider said of you could not be relied on. Begin again; if it stays so, tell the operator."
)


@routes.get("/sign-in/provider", is_public=True, seconds=_SECONDS)
async def to_provider(screen: Screen) -> Response:
    """Off to the provider. Where another site led here nothing begins: the form is shown."""
    flow, wanted = _flow(screen), own_path(screen.query("next"))
    if screen.caller is not None:
        return screen.go(wanted)
    if screen.request.headers.get("sec-fetch-site") == "cross-site":
        return await show_form(screen, "")
    secret = secrets.token_urlsafe(32)
    try:
        address = await flow.address(Attempt(secret, _back(screen)))
    except ProviderAway as error:
        return await _refused(screen, _AWAY, 503, wanted, str(error))
    response = screen.named(RedirectResponse(address, 303))
    cookies.keep_sign_in(screen.request, response, secret, wanted if len(wanted) <= _LONGEST_WAY else "/")
    return response


@routes.get("/sign-in/callback", is_public=True, seconds=_SECONDS)
async def from_provider(screen: Screen) -> Response:
    """Back from the provider: in, or told why not. What the browser had begun counts once."""
    flow = _flow(screen)
    secret, wanted = cookies.sign_in_of(screen.request)
    try:
        response = await _answered(screen, flow, Attempt(secret, _back(screen)), wanted)
    except Exception as error:  # noqa: BLE001 - it becomes a page as any does, which forgets the sign-in, too
        response = await answer_to(screen.request, screen, error)
    cookies.drop_sign_in(screen.request, response)
    return response


async def _answered(screen: Screen, flow: CodeFlow, attempt: Attempt, wanted: str) -> Response:
    said_by = screen.query("iss") or flow.issuer  # RFC 9207: another provider's answer is none
    if not attempt.secret or not attempt.is_answered_by(screen.query("state")) or said_by.rstrip("/") != flow.issuer:
        return await _refused(screen, _NOT_BEGUN, 403, wanted)
    if not (code := screen.query("code")):
        return await _refused(screen, _DENIED, 403, wanted, _reason(screen.query("error")))
    address = address_of(screen.request)
    if screen.services.auth.is_guessing(address):
        return await _refused(screen, TOO_MANY, 429, wanted)
    try:
        person = await flow.person(attempt, code)
    except ProviderAway as error:
        return await _refused(screen, _AWAY, 503, wanted, str(error))
    except (ProviderRefuses, TokenRefused) as error:
        screen.services.auth.note_failure(address)
        return await _refused(screen, _why_not(error), 403, wanted, str(error))
    return await _let_in(screen, flow, person, wanted)


async def _let_in(screen: Screen, flow: CodeFlow, person: Person, wanted: str) -> Response:
    token = await screen.services.quick.write(
        lambda connection: signing_in.begin_of_person(connection, screen.request, person, flow.issuer)
    )
    return signed_in(screen, token, wanted)


def _why_not(error: ProviderRefuses | TokenRefused) -> str:
    if isinstance(error, InNoGroup):
        return _NO_GROUP
    if isinstance(error, TokenRefused):
        return _NOT_GOOD
    return _NOT_BEGUN if error.code == "invalid_grant" else _DENIED


def _reason(error: str) -> str:
    """In the standard's words: nothing else of a foreign text is told on."""
    return f"The identity provider signed nobody in ({error if error in _REASONS else 'unknown'})"


async def _refused(screen: Screen, why: str, status: int, wanted: str, reason: str = "") -> Response:
    """The form with what is wrong. The log has the reason, which tells neither code nor token."""
    if reason:
        log.warning("sign_in_refused", reason=reason)
    return await show_form(screen, screen.say(why), status=status, wanted=wanted)


def _flow(screen: Screen) -> CodeFlow:
    """How people sign in by a provider. Raises ApiRefused, shown as a 404, where that is not set."""
    flow = screen.services.code_flow
    if flow is None:
        raise ApiRefused(404, {})
    return flow


def _back(screen: Screen) -> str:
    """Where the provider is to lead back to: the provider knows it, and the host's name was checked."""
    return screen.address("/sign-in/callback")
