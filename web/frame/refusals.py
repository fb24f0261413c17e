"""Pages for what cannot be shown: not found, no right, a form without its token, a service that is away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from api.http.problems import problem_of
from api.http.root_path import rooted
from api.server.middleware import REQUEST_ID
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.sentences import members_of
from web.frame.api_calls import ApiRefused
from web.frame.screen import FormRefused, NoRight, NotSignedIn, Screen, address_of_page, open_screen
from web.frame.sent_from import page_of_form
from web.sessions import cookies
from web.words.api_refusals import told_refusal
from web.words.catalogues import N_
from web.words.language import Language, choose_language

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What such a page says: what it is, why, and what to do."""

    status: int
    title: str
    advice: str
    detail: str | Markup = ""


_BY_STATUS = {
    400: (N_("This cannot be read"), N_("Go back and correct it.")),
    403: (N_("No right to this"), N_("Ask an administrator for a key that may do it, and sign in with that.")),
    404: (N_("There is nothing here"), N_("It may be another owner's, or it never was. Check the address.")),
    405: (N_("There is no page at this address"), N_("It takes what a form sends. Go to the page with the form.")),
    409: (N_("Not possible now"), N_("Look at how it stands, and try again.")),
    410: (N_("This was erased"), N_("Nothing of the client is left.")),
    413: (N_("This is too large"), N_("Send less at once, in several parts.")),
    421: (N_("This host name is not served"), N_("Open the page under a name that the operator allows.")),
    422: (N_("This was refused"), N_("Go back and correct it.")),
    429: (N_("Too much at once"), N_("Wait a moment, then load the page again.")),
    503: (N_("Not possible at the moment"), N_("Nothing is lost. Load the page again in a moment.")),
}
_FORM = Refusal(
    403,
    N_("This form was not accepted"),
    N_("It was opened before you signed in, or comes from another site. Load its page again and send it from there."),
)
_OF_GROUPS = N_("Your groups at the identity provider do not have it. Ask whoever runs the service.")
_UNFORESEEN = (N_("Something went wrong on our side"), N_("Tell the operator the number below: it is in the log."))


async def answer_to(request: Request, screen: Screen | None, error: Exception) -> Response:
    """The page that answers an error. One that nobody foresaw is logged."""
    if isinstance(error, ClientDisconnect):
        raise error
    if isinstance(error, NotSignedIn) or (isinstance(error, ApiRefused) and error.status == 401):
        return _to_sign_in(request)
    if screen is None:
        language = choose_language(request.cookies, request.headers.get("accept-language", ""))
        screen = Screen(request, language, None, cookies.visit_of(request) or cookies.new_visit())
    refusal = _refusal(request, error, screen.language)
    if refusal.status == 403 and refusal is not _FORM and screen.caller is not None and screen.caller.person:
        refusal = replace(refusal, advice=_OF_GROUPS)  # who has no key is not sent for another one
    return await show_refusal(screen, refusal)


async def show_unserved(request: Request, status: int) -> Response:
    """The page for an address that nobody serves (404), or not by this method (405). No form sent to it is read."""
    try:
        screen = await open_screen(request, with_form=False)
    except Exception as error:  # noqa: BLE001 - it becomes a page
        return await answer_to(request, None, error)
    return await show_refusal(screen, _of_status(status))


async def show_refusal(screen: Screen, refusal: Refusal) -> Response:
    """The page of a refusal."""
    return await screen.show("refusal.html", status=refusal.status, refusal=refusal)


def _to_sign_in(request: Request) -> Response:
    """On to signing in, and from there to the page that was asked for; of a form, to the page that it stood on."""
    given = {"next": address_of_page(request) or page_of_form(request)}
    if given["next"] == "/":
        given = {}
    if request.method == "POST":  # forms are shown to nobody who is not signed in
        given["ended"] = "yes"
    return RedirectResponse(rooted(f"/sign-in?{urlencode(given)}" if given else "/sign-in"), 303)


def _refusal(request: Request, error: Exception, language: Language) -> Refusal:
    if isinstance(error, FormRefused):
        return _FORM
    if isinstance(error, NoRight):
        return _of_status(403, language.say(N_("This needs the role %(role)s."), role=error.args[0]))
    if isinstance(error, ApiRefused):
        return _of_status(error.status, told_refusal(language, error.problem))
    if isinstance(error, DatabaseUnavailable):
        request.app.state.services.outage_log.note(error, path=request.url.path)
    problem = problem_of(error)
    if problem is not None:
        said = {"type": problem.kind.type, "detail": problem.detail, **members_of(problem.detail)}
        return _of_status(problem.kind.status, told_refusal(language, said))
    number = request.scope[REQUEST_ID].decode()
    log.error("unexpected_error", request_id=number, path=request.url.path, exc_info=error)
    return Refusal(500, *_UNFORESEEN, detail=number)


def _of_status(status: int, detail: str | Markup = "") -> Refusal:
    title, advice = _BY_STATUS.get(status) or _BY_STATUS[503 if status >= 500 else 400]
    return Refusal(status, title, advice, detail)
