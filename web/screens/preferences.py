"""How somebody likes the screens: language, light or dark."""

from __future__ import annotations

from starlette.responses import Response

from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen, own_path
from web.sessions import cookies
from web.words.language import LANGUAGES

routes = ScreenRoutes()

THEMES = ("auto", "light", "dark")


@routes.post("/preferences", is_public=True)
async def keep(screen: Screen) -> Response:
    """Remember what was chosen, and go back to where that was."""
    response = screen.go(own_path(screen.given("back")))
    if (language := screen.given("language")) in LANGUAGES:
        cookies.keep_choice(screen.request, response, cookies.LANGUAGE, language)
    if (theme := screen.given("theme")) in THEMES:
        cookies.keep_choice(screen.request, response, cookies.THEME, theme)
    return response
