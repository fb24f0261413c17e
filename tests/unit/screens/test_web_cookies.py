"""What cookies of the screens are called, and who can set them."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.http.cookie_names import session_token
from api.http.root_path import set_root
from web.sessions import cookies


def asked(scheme: str, cookie: str = "") -> Request:
    headers = [(b"host", b"here.example"), (b"cookie", cookie.encode())]
    return Request({"type": "http", "scheme": scheme, "path": "/", "query_string": b"", "headers": headers})


@pytest.mark.parametrize(
    ("scheme", "root", "prefix"), [("https", "", "__Host-"), ("https", "/scoring", ""), ("http", "", "")]
)
def test_over_https_no_other_host_can_plant_a_cookie(scheme: str, root: str, prefix: str) -> None:
    """By the prefix a browser takes them from this host alone, over https; one without it counts for nothing."""
    set_root(root)
    try:
        response = Response()
        cookies.keep_session(asked(scheme), response, "token")
        cookies.keep_sign_in(asked(scheme), response, "secret", "/jobs")
        cookies.keep_visit(asked(scheme), response, "visit")
        session, sign_in, visit = response.headers.getlist("set-cookie")
        assert session.startswith(f"{prefix}predictq_session=token;")
        assert sign_in.startswith(f"{prefix}predictq_sign_in=secret.")
        assert visit.startswith(f"{prefix}predictq_visit=visit;")
        for cookie in (session, sign_in, visit):
            assert (f"Path={root}/;" in cookie, "Secure" in cookie) == (True, scheme == "https")
            assert "Domain" not in cookie
        back = asked(scheme, "; ".join(cookie.partition(";")[0] for cookie in (session, sign_in)))
        assert (session_token(back), cookies.sign_in_of(back)) == ("token", ("secret", "/jobs"))
        assert cookies.visit_of(asked(scheme, visit.partition(";")[0])) == "visit"
        assert (cookies.visit_of(asked(scheme, "predictq_visit=planted")) == "") == bool(prefix)
        planted = asked(scheme, "predictq_session=planted; predictq_sign_in=planted.")
        assert (session_token(planted) == "", cookies.sign_in_of(planted)[0] == "") == (bool(prefix), bool(prefix))
    finally:
        set_root("")
