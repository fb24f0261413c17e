"""Signing in to the screens by an identity provider: who gets in, and who cannot be made to."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from devstack.servers.ports import free_port
from shared.config import Settings
from tests.integration.access.strict_provider import CLIENT, SECRET, StrictProvider, strict_provider
from tests.integration.access.test_oidc import GROUPS, provider, with_provider
from tests.integration.gateway.api_support import Gateway, bearer, new_key, running_gateway

BEGIN = "/sign-in/provider"
_NOT_BEGUN = "not begun in this browser"


def with_sign_in(settings: Settings, issuer: str, **changes: Any) -> Settings:
    own = {"oidc_client_id": CLIENT, "oidc_client_secret": SecretStr(SECRET)}
    return with_provider(settings, issuer, **{**own, **changes})


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictProvider]:
    with strict_provider(free_port()) as found:
        yield found


@pytest.fixture
def identity(strict: StrictProvider) -> StrictProvider:
    """The provider, as it is at first."""
    strict.claims, strict.status, strict.methods = {}, 200, ["client_secret_basic"]
    strict.refusals.clear()
    return strict


@pytest.fixture
def gateway(settings: Settings, engine: Engine, identity: StrictProvider) -> Iterator[Gateway]:
    assert engine
    with running_gateway(with_sign_in(settings, identity.issuer)) as running:
        yield running


def begin(gateway: httpx.Client, **options: Any) -> str:
    """Begin to sign in; returns where the browser is sent."""
    answer = gateway.get(BEGIN, **options)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def is_signed_in(gateway: httpx.Client) -> bool:
    return gateway.get("/jobs").status_code == 200


def said(answer: httpx.Response) -> str:
    return unescape(answer.text)


def test_people_sign_in_by_a_real_provider(settings: Settings, engine: Engine) -> None:
    """Owner and roles are those of the first group that is set; the audit log names the person; signing out ends it."""
    key = bearer(new_key(engine, "risk"))
    with provider(free_port(), "--require-nonce") as issuer, running_gateway(with_sign_in(settings, issuer)) as gateway:
        assert BEGIN in gateway.get("/sign-in").text
        address = begin(gateway, params={"next": "/jobs?status=failed"})
        led_back = httpx.post(address, data={"sub": "ann"}).headers["location"]
        entered = gateway.get(led_back)
        assert (entered.status_code, entered.headers["location"]) == (303, "/jobs?status=failed")
        assert is_signed_in(gateway)
        assert "risk" in gateway.get("/jobs").text
        assert gateway.get("/keys").status_code == 403
        assert gateway.get(led_back, headers={"Cookie": ""}).status_code == 403  # its code counted once
        token = gateway.cookies["predictq_session"]
        sign_out(gateway)
        assert not is_signed_in(gateway)
        gateway.cookies.set("predictq_session", token)
        assert not is_signed_in(gateway)
        assert gateway.get("/v1/jobs", headers=key).status_code == 200
    with engine.connect() as connection:
        lines = connection.execute(text("SELECT actor_kind, actor, action FROM predictq.audit_log ORDER BY id")).all()
    assert [tuple(line) for line in lines] == [
        ("person", "ann", "session.sign_in"),
        ("person", "ann", "session.sign_out"),
    ]


def sign_out(gateway: httpx.Client) -> None:
    page = gateway.get("/jobs").text
    token = page.partition('name="form_token" value="')[2].partition('"')[0]
    assert gateway.post("/sign-out", data={"form_token": token}).status_code == 303


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_the_provider_is_shown_all_that_it_asks(
    settings: Settings, engine: Engine, identity: StrictProvider, method: str
) -> None:
    """PKCE by S256, the same address, and the secret in the way that it takes; no secret where none is set."""
    assert engine
    identity.methods = [method]
    secret = None if method == "none" else SecretStr(SECRET)
    changes = {"oidc_client_secret": secret, "oidc_scopes": "openid groups"}
    with running_gateway(with_sign_in(settings, identity.issuer, **changes)) as gateway:
        address = begin(gateway)
        assert SECRET not in address
        assert quote(SECRET, safe="") not in address
        asked = parse_qs(urlsplit(address).query)
        assert (asked["response_type"], asked["scope"]) == (["code"], ["openid groups"])
        assert len({asked[name][0] for name in ("state", "nonce", "code_challenge")}) == 3
        assert all(len(asked[name][0]) == 43 for name in ("state", "nonce", "code_challenge"))
        assert gateway.get(identity.back(address)).status_code == 303, identity.refusals
        assert is_signed_in(gateway)


def test_no_two_sign_ins_are_alike(gateway: Gateway) -> None:
    """State, nonce and challenge are new each time."""
    first, second = (parse_qs(urlsplit(begin(gateway)).query) for _ in range(2))
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


NO_ANSWERS = [
    ({"state": "another"}, _NOT_BEGUN, "pas été commencée"),
    ({"state": ""}, _NOT_BEGUN, "pas été commencée"),
    ({"state": "%ED%A0%80é"}, _NOT_BEGUN, "pas été commencée"),
    ({"iss": "https://another.example"}, _NOT_BEGUN, "pas été commencée"),
    ({"code": "made-up"}, _NOT_BEGUN, "pas été commencée"),
    ({"code": "", "error": "access_denied"}, "did not sign you in", "ne vous a pas connecté"),
]
NO_TOKENS: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"nonce": "\ud800"},
    {"aud": "another"},
    {"aud": "predictq"},
    {"aud": [CLIENT, "another"], "azp": "another"},
    {"iss": "https://another.example"},
    {"exp": 1},
    {"sub": ""},
]


def test_an_answer_that_is_none_signs_nobody_in(gateway: Gateway, identity: StrictProvider) -> None:
    """The form comes back with what is wrong, in the reader's language; the sign-in that had begun is over."""
    for answer, *words in NO_ANSWERS:
        for language, said_so in zip(("en", "fr"), words, strict=True):
            address = begin(gateway)
            refused = gateway.get(identity.back(address, **answer), headers={"Accept-Language": language})
            assert (refused.status_code, said_so in said(refused)) == (403, True), answer
            assert gateway.get(identity.back(address)).status_code == 403
            assert not is_signed_in(gateway)


def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(gateway: Gateway, identity: StrictProvider) -> None:
    """Of another sign-in, for another service, from elsewhere, too old, naming nobody, or of nobody's group."""
    strangers: list[dict[str, Any]] = [{"groups": ["strangers"]}, {"groups": None}]
    for language, doubted, no_group in (
        ("en", "could not be relied on", "none of the groups"),
        ("fr", "pas fiable", "aucun des groupes"),
    ):
        for claims in (*NO_TOKENS, *strangers):
            identity.claims = claims
            refused = gateway.get(identity.back(begin(gateway)), headers={"Accept-Language": language})
            words = no_group if claims in strangers else doubted
            assert (refused.status_code, words in said(refused)) == (403, True), claims
            assert not is_signed_in(gateway)


def test_nobody_is_signed_in_as_somebody_else(gateway: Gateway, identity: StrictProvider) -> None:
    """The answer of a stranger's own sign-in does nothing in another browser: not with one begun there, nor without."""
    with httpx.Client(base_url=gateway.base_url) as stranger:
        strangers = identity.back(begin(stranger))
        assert gateway.get(strangers).status_code == 403
        own = begin(gateway)
        assert gateway.get(strangers).status_code == 403
        assert not is_signed_in(gateway)
        # A code of the stranger's in one's own answer: the verifier is another.
        own = begin(gateway)
        (code,) = parse_qs(urlsplit(strangers).query)["code"]
        answer = identity.back(own, code=code)
        assert gateway.get(answer).status_code == 403
        assert identity.refusals == ["PKCE"]
        assert not is_signed_in(gateway)


def test_a_session_that_was_planted_is_not_the_one_that_signs_in(
    gateway: Gateway, engine: Engine, identity: StrictProvider
) -> None:
    """Signing in makes a new session; the one that the browser came with is ended."""
    with httpx.Client(base_url=gateway.base_url) as stranger:
        assert stranger.get(identity.back(begin(stranger))).status_code == 303
        planted = stranger.cookies["predictq_session"]
        address = begin(gateway)
        gateway.cookies.set("predictq_session", planted, domain="127.0.0.1", path="/")
        assert gateway.get(identity.back(address)).status_code == 303
        assert planted not in [cookie.value for cookie in gateway.cookies.jar]
        assert not is_signed_in(stranger)
    gateway.cookies.clear()
    gateway.cookies.set("predictq_session", "chosen-by-a-stranger")
    assert gateway.get(identity.back(begin(gateway))).status_code == 303
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM predictq.sessions")).scalar_one() == 2


def test_signing_in_leads_nowhere_else(gateway: Gateway, identity: StrictProvider) -> None:
    """Neither the address that begins it, nor a cookie, nor the answer can name another site."""
    for wanted in ("https://stranger.example/", "//stranger.example", "/\\stranger.example", "javascript:1"):
        gateway.cookies.clear()
        address = begin(gateway, params={"next": wanted})
        assert address.startswith(f"{identity.issuer}/authorize?")
        assert gateway.get(f"{identity.back(address)}&next={quote(wanted, safe='')}").headers["location"] == "/"
        gateway.cookies.clear()
        address = begin(gateway)
        secret = gateway.cookies["predictq_sign_in"].partition(".")[0]
        gateway.cookies.clear()
        gateway.cookies.set("predictq_sign_in", f"{secret}.{quote(wanted, safe='')}")
        assert gateway.get(identity.back(address)).headers["location"] == "/"
    gateway.cookies.clear()
    address = begin(gateway, params={"next": "/" + "a" * 3000})  # no cookie has room for it
    assert gateway.get(identity.back(address)).headers["location"] == "/"


def test_another_site_begins_no_sign_in(gateway: Gateway) -> None:
    """It is shown the form alone. A stranger's host name gets nothing, so that no answer goes there."""
    answer = gateway.get(BEGIN, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, "predictq_sign_in" in answer.headers.get("set-cookie", "")) == (200, False)
    assert gateway.get(BEGIN, headers={"Host": "stranger.example"}).status_code == 421


def test_cookies_are_out_of_reach(gateway: Gateway, identity: StrictProvider) -> None:
    """HttpOnly, Lax, and the sign-in's own is gone once it was answered."""
    began = gateway.get(BEGIN)
    answered = gateway.get(identity.back(began.headers["location"]))
    for cookie in (*began.headers.get_list("set-cookie"), *answered.headers.get_list("set-cookie")):
        assert ("HttpOnly" in cookie, "SameSite=lax" in cookie) == (True, True)
    assert any(
        "predictq_sign_in=" in cookie and "Max-Age=0" in cookie for cookie in answered.headers.get_list("set-cookie")
    )


@pytest.mark.parametrize(("language", "words"), [("en", "does not answer"), ("fr", "ne répond pas")])
def test_a_provider_that_is_away_is_said_to_be(
    settings: Settings, engine: Engine, identity: StrictProvider, language: str, words: str
) -> None:
    """At the start and at the end; the key still signs in."""
    assert engine
    headers = {"Accept-Language": language}
    with running_gateway(with_sign_in(settings, f"http://127.0.0.1:{free_port()}")) as gateway:
        away = gateway.get(BEGIN, headers=headers)
        assert (away.status_code, words in said(away), 'name="key"' in away.text) == (503, True, True)
    with running_gateway(with_sign_in(settings, identity.issuer)) as gateway:
        address = begin(gateway)
        identity.status = 502
        away = gateway.get(identity.back(address), headers=headers)
        assert (away.status_code, words in said(away)) == (503, True)


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Too many sign-ins from your address"), ("fr", "Trop de connexions depuis")]
)
def test_guessing_codes_is_limited(
    settings: Settings, engine: Engine, identity: StrictProvider, language: str, words: str
) -> None:
    """Each costs a question to the provider: an address may try so many a minute. The form says so."""
    assert engine
    with running_gateway(with_sign_in(settings, identity.issuer, failed_keys_per_minute=2)) as gateway:
        headers = {"Accept-Language": language}
        answers = [gateway.get(identity.back(begin(gateway), code="made-up"), headers=headers) for _ in range(4)]
    found = [answer.status_code for answer in answers]
    assert (found[:2], found[3]) == ([403, 403], 429)
    assert (words in said(answers[3]), 'name="key"' in answers[3].text) == (True, True)
    assert all("Max-Age=0" in answer.headers["set-cookie"] for answer in answers)  # the sign-in counts once
    assert len(identity.refusals) < 4


def test_a_provider_that_hangs_stops_nothing_else(settings: Settings, engine: Engine) -> None:
    """However many want to sign in: metrics and documents come at once. Then whoever comes is told at once, too."""
    assert engine
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with running_gateway(with_sign_in(settings, issuer)) as gateway, ThreadPoolExecutor(12) as people:
            came = [people.submit(gateway.get, BEGIN) for _ in range(12)]
            assert select.select([silent], [], [], 10)[0]  # it is asked, and says nothing
            for path in ("/openapi.json", "/metrics", "/health"):
                began = time.monotonic()
                assert gateway.get(path).status_code == 200
                assert time.monotonic() - began < 4  # it is waited for five
            assert [one.result().status_code for one in came] == [503] * 12
            began = time.monotonic()
            assert gateway.get(BEGIN).status_code == 503
            assert time.monotonic() - began < 3


def test_what_a_provider_refuses_is_logged_and_the_way_is_kept(
    gateway: Gateway, identity: StrictProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    """The operator reads why, in words of the standard alone; who begins again gets to the page that was wanted."""
    for error, logged in (("access_denied", "(access_denied)"), ("planted-words", "(unknown)")):
        address = begin(gateway, params={"next": "/jobs?status=failed"})
        refused = gateway.get(identity.back(address, code="", error=error))
        assert refused.status_code == 403
        assert f"{BEGIN}?next=%2Fjobs%3Fstatus%3Dfailed" in said(refused)
        written = "".join(capfd.readouterr())
        assert ("sign_in_refused" in written, logged in written, "planted" in written) == (True, True, False)


@pytest.mark.parametrize(("language", "words"), [("en", "Your groups"), ("fr", "Vos groupes")])
def test_who_has_no_key_is_not_told_of_one(
    gateway: Gateway, identity: StrictProvider, language: str, words: str
) -> None:
    """What a person's groups do not give is said of the groups."""
    assert gateway.get(identity.back(begin(gateway))).status_code == 303
    refused = gateway.get("/audit", headers={"Accept-Language": language})
    assert (refused.status_code, words in said(refused)) == (403, True)


@pytest.mark.parametrize(
    "change",
    [
        {"oidc_groups": "[]"},
        {"oidc_client_id": ""},
        {"oidc_issuer": "http://127.0.0.1:1"},
    ],
)
def test_a_session_ends_when_the_settings_give_it_nothing(
    settings: Settings, engine: Engine, identity: StrictProvider, change: dict[str, str]
) -> None:
    """Its group was taken away, or its provider is another: at the gateway's next start nobody is signed in by it."""
    assert engine
    before = with_sign_in(settings, identity.issuer)
    with running_gateway(before) as gateway:
        assert gateway.get(identity.back(begin(gateway))).status_code == 303
        token = gateway.cookies["predictq_session"]
    for changed, signed_in in (({}, True), (change, False)):
        with running_gateway(before.model_copy(update=changed)) as gateway:
            gateway.cookies.set("predictq_session", token)
            assert is_signed_in(gateway) is signed_in


def test_without_a_client_id_nothing_is_offered(settings: Settings, engine: Engine, identity: StrictProvider) -> None:
    """No button, and the addresses are as if they were not there."""
    assert engine
    with running_gateway(with_provider(settings, identity.issuer)) as gateway:
        assert BEGIN not in gateway.get("/sign-in").text
        for path in (BEGIN, "/sign-in/callback?code=a&state=b"):
            assert gateway.get(path).status_code == 404


def test_no_log_has_code_token_or_secret(
    settings: Settings, engine: Engine, identity: StrictProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither of a sign-in that went well nor of one that did not."""
    assert engine
    with running_gateway(with_sign_in(settings, identity.issuer)) as gateway:
        address = begin(gateway)
        secret = gateway.cookies["predictq_sign_in"].partition(".")[0]
        identity.claims = {"nonce": "another"}
        gateway.get(identity.back(address, planted="planted-query"))
        identity.claims = {}
        gateway.get(identity.back(begin(gateway)))
        token = gateway.cookies["predictq_session"]
    written = "".join(capfd.readouterr())
    assert "of another sign-in" in written
    for planted in (SECRET, secret, token, "planted-query", "code-", parse_qs(urlsplit(address).query)["state"][0]):
        assert planted not in written


def test_a_person_at_the_screens_uses_the_api_as_her_group_may(gateway: Gateway, identity: StrictProvider) -> None:
    """A caller of the API with her token would be told the same; a link is for keys."""
    assert gateway.get(identity.back(begin(gateway))).status_code == 303
    assert gateway.get("/models").status_code == 200
    assert gateway.get("/audit").status_code == 403
    assert GROUPS[1]["owner"] in gateway.get("/").text
