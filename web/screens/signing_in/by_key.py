"""Signing in with an API key or by a link that works once, and signing out. By a provider: `by_provider`."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from api.access import signing_in
from api.access.caller import caller_of
from api.http.cookie_names import session_token
from api.http.problems import Unauthorised
from api.http.requests import IS_HEAD, address_of
from shared.access.api_keys import find_key
from shared.access.sign_in import LinkUsed, find_link
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen, own_path
from web.sessions import cookies
from web.words.catalogues import N_

routes = ScreenRoutes()

# What a browser says of a page that led here, where it is not our own (Fetch Metadata). It says it over https and on
# this machine alone.
_ELSEWHERE = ("cross-site", "same-site")
TOO_MANY = N_("Too many sign-ins from your address have failed. Wait a minute, then begin again.")
_REFUSED = N_("This API key is unknown or was revoked.")
_LINK_USED = N_("This link was used before, or is too old. Paste an API key, or let predictq open print a new link.")


@routes.get("/sign-in", is_public=True)
async def sign_in(screen: Screen) -> Response:
    """The form; or, with a link's token, straight in. Whoever is signed in stays who they are, unless they press it.

    Where a page of another site led here, the link is a button: else that site could sign its visitors in as somebody
    of its own. Out of a terminal, a mail program or the address bar it takes no more than the link. Programs that look
    at links for people ask with HEAD: the link is left for them.
    """
    link, caller = screen.query("link"), screen.caller
    if caller is not None:
        found = await screen.services.quick.read(lambda connection: find_link(connection, link)) if link else None
        if found is None:
            return screen.go(own_path(screen.query("next")))
        if found.id != caller.key_id:
            return await show_form(screen, "", link=link, becomes=found.owner)
    if not link:
        return await show_form(screen, "")
    if IS_HEAD in screen.request.scope or screen.request.headers.get("sec-fetch-site") in _ELSEWHERE:
        return await show_form(screen, "", link=link)
    return await _follow(screen, link, screen.query("next"))


@routes.post("/sign-in", is_public=True)
async def sign_in_by_form(screen: Screen) -> Response:
    """Begin a session of the key, where it is one, or by the link that was shown as a button."""
    link = screen.given("link")
    if link:
        return await _follow(screen, link, screen.given("next"))
    key = screen.given("key")
    services = screen.services
    try:
        # Which counts guesses, and ends them.
        await services.auth.caller(b"Bearer " + key.encode("ascii", "replace"), address_of(screen.request))
        found = await services.quick.read(lambda connection: find_key(connection, key))
    except Unauthorised:
        found = None
    if found is None or services.auth.anonymous:
        return await show_form(screen, screen.say(_REFUSED), status=403)
    screen.caller = caller_of(found)
    token = await services.quick.write(lambda connection: signing_in.begin(connection, screen.request, found))
    return signed_in(screen, token, screen.given("next"))


@routes.get("/session", is_public=True)
async def session(screen: Screen) -> Response:
    """Whether somebody is signed in, 204 or 401: the script asks before it sends a file, which may take its time."""
    return Response(status_code=401 if screen.caller is None else 204)


@routes.post("/sign-out", is_public=True)
async def sign_out(screen: Screen) -> Response:
    """End the session, here and in the database."""
    token = session_token(screen.request)
    request, caller = screen.request, screen.caller
    if caller is not None:  # else nobody has signed in, or it has ended
        await screen.services.quick.write(lambda connection: signing_in.end(connection, request, caller, token))
    response = screen.go("/sign-in")
    cookies.drop_session(screen.request, response)
    return response


async def _follow(screen: Screen, link: str, wanted: str) -> Response:
    """Use a link up: in, or told why not. A made-up one counts as a wrong key does."""
    services, address = screen.services, address_of(screen.request)
    if services.auth.is_guessing(address):
        return await show_form(screen, screen.say(TOO_MANY), status=429, wanted=wanted)
    try:
        token = await services.quick.write(lambda connection: signing_in.follow(connection, screen.request, link))
    except LinkUsed:
        services.auth.note_failure(address)
        return await show_form(screen, screen.say(_LINK_USED), status=403)
    return signed_in(screen, token, wanted)


async def show_form(
    screen: Screen, refusal: str, *, status: int = 200, wanted: str = "", link: str = "", becomes: str = ""
) -> Response:
    """The form, with what is wrong; from there it goes on to `wanted`, or to what the call named.

    With `link` it has a button that follows it; `becomes` is who somebody is by it who is signed in as another.
    """
    wanted = own_path(wanted or screen.query("next") or screen.given("next"))
    further = "" if wanted == "/" else f"?{urlencode({'next': wanted})}"
    return await screen.show(
        "sign_in.html",
        status=status,
        refusal=refusal,
        wanted=wanted,
        by_provider=None if screen.services.code_flow is None else f"/sign-in/provider{further}",
        link=link,
        becomes=becomes,
        has_ended=bool(screen.query("ended")) and not refusal,
        back=f"/sign-in{further}",  # without the link and the provider's code: each of them is used once
    )


def signed_in(screen: Screen, token: str, wanted: str) -> Response:
    """On to where somebody wanted, with a new session."""
    response = screen.go(own_path(wanted))
    cookies.keep_session(screen.request, response, token)
    return response
