"""HTML answers, with what keeps a browser from running or framing anything that is not ours."""

from __future__ import annotations

from starlette.responses import HTMLResponse

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
POLICY = "; ".join(f"{name} {source}" for name, source in _SOURCES.items())
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Language, Cookie",
}


class PageResponse(HTMLResponse):
    """A screen. No code, no style and no frame from anywhere but here, and none written into the page."""

    def __init__(self, content: str, status: int = 200) -> None:
        super().__init__(content, status, HEADERS)
