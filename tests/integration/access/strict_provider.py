"""An identity provider of our own that insists on PKCE, on its client's secret and on the address it came from.

The one from a package (`test_api_oidc.provider`) asks for less. What this one's tokens say can be changed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import serialize_compact

CLIENT, SECRET = "predictq-screens", "planted:client/secret"


@dataclass
class StrictProvider:
    """What it was asked, and what it says."""

    issuer: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}))
    methods: list[str] = field(default_factory=lambda: ["client_secret_basic"])
    claims: dict[str, Any] = field(default_factory=dict)  # which win in its tokens
    status: int = 200  # of its answers to codes
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # sign-ins by their codes
    refusals: list[str] = field(default_factory=list)

    def code_for(self, address: str) -> str:
        """The code of somebody who signs in at `address`, where a browser was sent."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return code

    def back(self, address: str, **changes: str) -> str:
        """The path that a browser is then led to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        given = {"code": self.code_for(address), "state": asked["state"], **changes}
        return f"{urlsplit(asked['redirect_uri']).path}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def token_for(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The answer to a code."""
        asked = self.asked.pop(form.get("code", ""), None)
        if self.status != 200:
            return self.status, {"error": "server_error"}
        flaw = "code" if asked is None else self._flaw(asked, form, authorization)
        if asked is None or flaw:
            self.refusals.append(flaw)
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        own = {"iss": self.issuer, "aud": CLIENT, "sub": "ann", "groups": ["analysts"], "iat": now, "exp": now + 60}
        said = {**own, "nonce": asked["nonce"], **self.claims}
        token = serialize_compact({"alg": "RS256", "kid": "k1"}, json.dumps(said), self.key)
        return 200, {"id_token": token, "token_type": "Bearer"}

    def _flaw(self, asked: dict[str, str], form: dict[str, str], authorization: str) -> str:
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        basic = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        identified = {
            "client_secret_basic": [unquote(part) for part in basic.split(":")] == [CLIENT, SECRET],
            "client_secret_post": (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET),
            "none": form.get("client_id") == CLIENT and not authorization and "client_secret" not in form,
        }
        checks = {
            "PKCE": asked.get("code_challenge_method") == "S256" and asked.get("code_challenge") == wanted,
            "redirect_uri": form.get("redirect_uri") == asked["redirect_uri"],
            "client": identified[self.methods[0]] and asked["client_id"] == CLIENT,
            "grant_type": form.get("grant_type") == "authorization_code",
        }
        return ", ".join(name for name, holds in checks.items() if not holds)


@contextmanager
def strict_provider(port: int) -> Iterator[StrictProvider]:
    """It runs in a thread of this process."""
    provider = StrictProvider(f"http://127.0.0.1:{port}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = {
                "issuer": provider.issuer,
                "jwks_uri": f"{provider.issuer}/jwks",
                "authorization_endpoint": f"{provider.issuer}/authorize",
                "token_endpoint": f"{provider.issuer}/token",
                "token_endpoint_auth_methods_supported": provider.methods,
            }
            keys = KeySet([provider.key]).as_dict(private=False)
            self._answer(200, dict(keys) if self.path == "/jwks" else document)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(*provider.token_for(form, self.headers.get("authorization", "")))

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
