"""One call of one screen: who looks at it, in which language, and how it answers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.access.auth import Acting, Validity
from api.access.caller import Caller
from api.access.signing_in import caller_of_session
from api.http.cookie_names import session_token
from api.http.host_names import require_host
from api.http.requests import address_of
from api.http.root_path import rooted
from api.server.services import Services, services_of
from web.frame import navigation
from web.frame.api_calls import Api
from web.frame.forms import STRANGER_BYTES, most_bytes, pass_over, read_form
from web.frame.page_response import PageResponse
from web.frame.templates import environment
from web.sessions import cookies, form_tokens
from web.words.language import LANGUAGES, Language, choose_language

Made = TypeVar("Made")
_OF_QUERY = "%!$&'()*+,;=:@/?"  # what stands in a query as it is (RFC 3986, 3.4)


class NotSignedIn(Exception):
    """The screen is for somebody who is known."""


class NoRight(Exception):
    """The screen is for people with another role."""


class FormRefused(Exception):
    """A form without its token: it comes from another site, or from a page of before signing in."""


@dataclass
class Screen:
    """One call of one screen."""

    request: Request
    language: Language
    caller: Caller | None  # None where nobody is signed in
    visit: str  # what the tokens of forms are made from
    form: FormData = field(default_factory=FormData)

    @property
    def services(self) -> Services:
        """For what belongs to the screens alone, as sessions; all else is asked of `api`."""
        return services_of(self.request)

    @property
    def api(self) -> Api:
        """The API as whoever looks at the screen may use it. Raises NotSignedIn."""
        return Api(self.request, self.acting)

    @property
    def signed_in(self) -> Caller:
        """Who looks at the screen. Raises NotSignedIn."""
        if self.caller is None:
            raise NotSignedIn
        return self.caller

    @property
    def acting(self) -> Acting:
        """Who looks at the screen, for calls that take longer than it. Raises NotSignedIn."""
        request = self.request

        async def is_valid() -> bool:
            return await _caller(request) is not None

        session = session_token(request)
        return Acting(self.signed_in, Validity(hashlib.sha256(session.encode()).digest(), is_valid))

    def path(self, name: str) -> str:
        """A part of the path, by its name in the route."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """A parameter of the address; empty where there is none."""
        return self.request.query_params.get(name, "").strip()

    def given(self, name: str) -> str:
        """A text field of the form; empty where there is none."""
        given = self.form.get(name, "")
        return given.strip() if isinstance(given, str) else ""

    def now(self) -> datetime:
        """The time of the call, for what is printed."""
        return datetime.now(UTC)

    def time(self, text: str) -> datetime:
        """A time as the API writes it."""
        return datetime.fromisoformat(text)

    def say(self, text: str, /, **values: Any) -> str:
        """`text` in the reader's language."""
        return self.language.say(text, **values)

    async def show(self, template: str, /, *, status: int = 200, **values: Any) -> Response:
        """The template with these values, and with what the frame around it needs."""
        content = await self.beside_the_loop(lambda: self._render(template, values))
        return self.named(PageResponse(content, status))

    async def beside_the_loop(self, work: Callable[[], Made]) -> Made:
        """What `work` makes, in a thread: a long table takes a tenth of a second, and calls go on meanwhile.

        One at a time: the more threads compute, the longer the event loop waits for its turn among them.
        """
        async with self.request.app.state.drawing:
            return await asyncio.to_thread(work)

    def _render(self, template: str, values: Mapping[str, Any]) -> str:
        return (
            environment(self.language.code)
            .get_template(template)
            .render(
                screen=self,
                caller=self.caller,
                language=self.language,
                languages=LANGUAGES,
                say_count=self.language.say_count,
                numbers=self.language.numbers,
                moments=self.language.moments,
                theme=self.request.cookies.get(cookies.THEME, "auto"),
                form_token=form_tokens.token_of(self.visit),
                here=self.request.scope["path"],
                places=navigation.places_for(self.caller, self.request.app.state.screens),
                **{"back": address_of_page(self.request), **values},
            )
        )

    def go(self, path: str) -> Response:
        """Send the browser to a path of ours, which it asks for with GET."""
        return self.named(RedirectResponse(rooted(path), 303))

    def go_with(self, path: str, parameters: Mapping[str, str]) -> Response:
        """The same, with parameters in the address."""
        return self.go(f"{path}?{urlencode(parameters)}")

    def address(self, path: str) -> str:
        """The whole address of a path of ours, as the caller reaches it: what is printed, filed and typed elsewhere."""
        url = self.request.url
        return f"{url.scheme}://{url.netloc}{rooted(path)}"

    def once(self) -> str:
        """A new Idempotency-Key for a form: sent twice, it makes one job."""
        return str(uuid4())

    def named(self, response: Response) -> Response:
        """The same answer, which gives the browser a name where it has none."""
        if not cookies.visit_of(self.request):
            cookies.keep_visit(self.request, response, self.visit)
        return response


async def open_screen(request: Request, *, with_form: bool = True, is_public: bool = True) -> Screen:
    """Find out who calls, and read what a form sent.

    Raises Problem 421 or 429, FormRefused or DatabaseUnavailable; and NotSignedIn, where it is none of a public screen:
    then nothing of the form is kept.
    """
    require_host(request)
    language = choose_language(request.cookies, request.headers.get("accept-language", ""))
    screen = Screen(request, language, await _caller(request), cookies.visit_of(request) or cookies.new_visit())
    if request.method == "POST" and with_form:
        is_known = screen.caller is not None
        most = most_bytes(screen.services.settings.max_file_bytes)
        if not is_known and not is_public:
            await pass_over(request, most)
            raise NotSignedIn
        screen.form = await read_form(request, most if is_known else STRANGER_BYTES)
        if not form_tokens.is_token_of(cookies.visit_of(request), screen.given(form_tokens.FIELD)):
            await screen.form.close()
            raise FormRefused
    return screen


async def _caller(request: Request) -> Caller | None:
    services = services_of(request)
    token = session_token(request)
    if services.auth.anonymous or not token:
        return services.auth.anonymous
    return await caller_of_session(services, token, address_of(request))


def address_of_page(request: Request) -> str:
    """Where the page that answers a GET can be asked for again: its path and its query, whatever signs stand in them.

    Empty for the answer of a form, which no address leads to.
    """
    if request.method != "GET":
        return ""
    path, query = quote(request.scope["path"]), quote(request.scope["query_string"], safe=_OF_QUERY)
    return f"{path}?{query}" if query else path


def own_path(given: str) -> str:
    """`given` where it is a path of ours, else the first screen: no form and no link leads to another site."""
    try:
        parts = urlsplit(given)
    except ValueError:  # as of //[: what no browser could follow
        return "/"
    is_ours = given.startswith("/") and not given.startswith(("//", "/\\")) and not parts.netloc and "\\" not in given
    return given if is_ours and given.isprintable() else "/"
