"""People by single sign-on: tokens of a real identity provider, in a process of its own."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import Engine, text

from api.access.oidc.groups import read_groups
from api.access.oidc.people import People
from api.access.oidc.person import TokenRefused
from api.access.oidc.settings import oidc_settings
from api.access.oidc.signing_keys import SigningKeys
from devstack.servers.ports import free_port
from shared.config import Settings, SettingsRefused, load_settings
from tests.integration.gateway.api_support import bearer, new_key, running_gateway
from tests.support import add_clients, add_model, wait_until

GROUPS = [
    {"group": "operators", "owner": "platform", "roles": ["read", "operate"]},
    {"group": "analysts", "owner": "risk", "roles": ["read", "predict", "features"], "models": ["default"]},
]
AUDIENCE = "predictq"
PEOPLE = {"ann": ["analysts", "others"], "olga": ["analysts", "operators"], "eve": ["others"], "nobody": None}


@contextmanager
def provider(port: int, *options: str) -> Iterator[str]:
    """An identity provider with four people; returns its issuer. Each has a key of its own."""
    claims = [{"sub": sub, **({} if groups is None else {"groups": groups})} for sub, groups in PEOPLE.items()]
    users = [argument for person in claims for argument in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *users, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(issuer), seconds=60, what="the identity provider answers")
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


def answers(issuer: str) -> bool:
    try:
        return httpx.get(f"{issuer}/.well-known/openid-configuration").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider(free_port()) as issuer:
        yield issuer


def token_of(issuer: str, person: str, audience: str = AUDIENCE) -> str:
    """The identity token that the provider gives to a person who signs in for this audience."""
    back = "http://127.0.0.1/back"
    asked = {"client_id": audience, "redirect_uri": back, "response_type": "code", "scope": "openid profile"}
    sent = httpx.post(f"{issuer}/oauth2/authorize", params=asked, data={"sub": person})
    (code,) = parse_qs(urlsplit(sent.headers["location"]).query)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "client_id": audience,
        "client_secret": "x",
    }
    return str(httpx.post(f"{issuer}/oauth2/token", data=form).json()["id_token"])


def with_provider(settings: Settings, issuer: str, **changes: Any) -> Settings:
    return settings.model_copy(
        update={"oidc_issuer": issuer, "oidc_audience": AUDIENCE, "oidc_groups": json.dumps(GROUPS), **changes}
    )


def people_of(settings: Settings) -> People:
    found = oidc_settings(settings)
    assert found is not None
    return People(found)


def test_people_call_with_what_their_group_may_do(settings: Settings, engine: Engine, issuer: str) -> None:
    """Owner, roles and models come from the first group of the setting that the token names; `sub` is the actor."""
    add_model(engine)
    add_clients(engine, 2)
    key = bearer(new_key(engine, "risk"))
    ann, olga, eve, nobody = (bearer(token_of(issuer, person)) for person in PEOPLE)
    with running_gateway(with_provider(settings, issuer)) as gateway:
        job = gateway.post("/v1/predict", json={"client_id": 1}, headers=ann)
        assert job.status_code == 202
        assert gateway.get(job.headers["location"], headers=key).status_code == 200  # the owner's key sees it
        assert gateway.get(job.headers["location"], headers=olga).status_code == 404
        refused = gateway.post("/v1/jobs", json={"all": True}, headers=ann)
        assert (refused.status_code, "Your group" in refused.json()["detail"]) == (403, True)  # not: your key
        assert gateway.post("/v1/models/other/promote", headers=olga).status_code == 404
        trace = gateway.get(f"/v1/predictions/{job.json()['request_id']}", headers=ann)
        assert trace.json()["features_left_out"] is False
        for outsider in (eve, nobody):
            refused = gateway.get("/v1/models", headers=outsider)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert "none of the groups" in refused.json()["detail"]
        assert gateway.get("/v1/models", headers=bearer("pq_made-up")).status_code == 401
    with engine.connect() as connection:
        lines = connection.execute(text("SELECT actor_kind, actor, key_id, action FROM predictq.audit_log")).all()
    assert [tuple(line) for line in lines] == [("person", "ann", None, "features.read")]


def test_a_token_counts_only_as_it_was_given(settings: Settings, issuer: str) -> None:
    """For this audience, from this issuer, signed by its key in an allowed way, within its time."""
    people = people_of(with_provider(settings, issuer))
    good = token_of(issuer, "ann")
    assert people.person(good).subject == "ann"
    head, claims, seal = good.split(".")
    content = json.loads(base64.urlsafe_b64decode(claims + "=="))
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    own = RSAKey.generate_key(2048, {"kid": header.get("kid")} if header.get("kid") else None)
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    changed = base64.urlsafe_b64encode(json.dumps({**content, "groups": ["operators"]}).encode()).decode().rstrip("=")
    public = httpx.get(f"{issuer}/jwks").text
    wrong = {
        "another audience": token_of(issuer, "ann", "another-service"),
        "another key": jwt.encode(header, content, own),
        "no signature": f"{unsigned}.{claims}.",
        "changed claims": f"{head}.{changed}.{seal}",
        "signed with the public key": jwt.encode({"alg": "HS256"}, content, OctKey.import_key(public)),
        "cut": good[:-10],
        "two parts": f"{head}.{claims}",
        "not a token": "abc",
        "not ASCII": "ä.ö.ü",
        "far too long": "a" * 20_000,
    }
    for what, token in wrong.items():
        with pytest.raises(TokenRefused):
            pytest.fail(f"{what}: {people.person(token)}")
    with pytest.raises(TokenRefused):
        people_of(with_provider(settings, issuer, oidc_algorithms="ES256")).person(good)


def test_a_token_ends_when_it_says_and_clocks_may_differ_a_little(settings: Settings) -> None:
    """An expired one is refused with that word; within the skew that is allowed it goes on."""
    with provider(free_port(), "--token-max-age", "1") as issuer:
        token = token_of(issuer, "ann")
        time.sleep(2.1)  # what is tested is that time passes
        assert people_of(with_provider(settings, issuer)).person(token).subject == "ann"
        with pytest.raises(TokenRefused, match="expired"):
            people_of(with_provider(settings, issuer, oidc_clock_skew_seconds=0.0)).person(token)


def test_the_provider_may_change_its_keys_and_go_away_for_a_while(settings: Settings) -> None:
    """New keys are asked for when a token names one; while the provider is away those that are known go on to count."""
    port = free_port()
    with provider(port) as issuer:
        people = people_of(with_provider(settings, issuer))
        people._keys._rest_seconds = 0.0
        old = token_of(issuer, "ann")
        assert people.person(old).subject == "ann"
    assert people.person(old).subject == "ann"
    with provider(port):
        assert people.person(token_of(issuer, "olga")).subject == "olga"
        with pytest.raises(TokenRefused):
            people.person(old)


def test_a_provider_that_was_never_there_is_a_503_and_keys_go_on(settings: Settings, engine: Engine) -> None:
    """Nobody is let in unchecked, API keys have nothing to do with it, and the answer says who is away."""
    away = f"http://127.0.0.1:{free_port()}"
    forged = jwt.encode({"alg": "RS256", "kid": "k"}, {"sub": "ann", "iss": away}, RSAKey.generate_key(2048))
    with running_gateway(with_provider(settings, away), new_key(engine, "risk")) as gateway:
        answer = gateway.get("/v1/models", headers=bearer(forged))
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/identity-provider-away")
        assert gateway.get("/v1/models").status_code == 200


def test_made_up_tokens_hold_up_nobody_while_the_provider_hangs(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for it. A token whose key is known does not wait for them."""
    monkeypatch.setattr(SigningKeys, "_has_rested", lambda _: True)  # every unknown key is asked for
    port = free_port()
    with ExitStack() as stack:
        with provider(port) as issuer:
            gateway = stack.enter_context(running_gateway(with_provider(settings, issuer), new_key(engine, "risk")))
            known = [token_of(issuer, name) for name in ("ann", "olga")]
            assert gateway.get("/v1/models", headers=bearer(known[0])).status_code == 200
        made_up = RSAKey.generate_key(2048)
        stack.enter_context(socket.create_server(("127.0.0.1", port)))  # it lets everybody in and says nothing
        calls = stack.enter_context(ThreadPoolExecutor(40))
        waiting = [
            calls.submit(
                gateway.get,
                "/v1/models",
                headers=bearer(jwt.encode({"alg": "RS256", "kid": f"k{number}"}, {"sub": "eve"}, made_up)),
            )
            for number in range(40)
        ]
        assert gateway.get("/v1/models", headers=bearer(known[1])).status_code == 200
        assert not all(call.done() for call in waiting)
        assert {call.result().status_code for call in waiting} <= {401, 429, 503}


def test_without_a_provider_a_token_is_an_unknown_key(settings: Settings, engine: Engine, issuer: str) -> None:
    """Off by default."""
    with running_gateway(settings, token_of(issuer, "ann")) as gateway:
        assert gateway.get("/v1/models").status_code == 401


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oidc_audience": ""}, "PREDICTQ_OIDC_AUDIENCE"),
        ({"environment": "production"}, "https://"),
        ({"oidc_algorithms": "HS256"}, "PREDICTQ_OIDC_ALGORITHMS"),
        ({"oidc_algorithms": "none"}, "PREDICTQ_OIDC_ALGORITHMS"),
    ],
)
def test_unsafe_settings_are_refused(changes: dict[str, Any], said: str) -> None:
    """At the start, with the variable that is to be changed."""
    given = {
        "database_url": "postgresql+psycopg2://nowhere/none",
        "redis_url": "redis://nowhere",
        "environment": "development",
        "oidc_issuer": "http://127.0.0.1:9",
        "oidc_audience": AUDIENCE,
    }
    with pytest.raises(SettingsRefused, match=said):
        load_settings(**{**given, **changes})


@pytest.mark.parametrize(
    "groups",
    [
        "x",
        "{}",
        '[{"group": "a"}]',
        '[{"group": "a", "owner": "o", "roles": []}]',
        '[{"group": "a", "owner": "o", "roles": ["king"]}]',
        '[{"group": "a", "owner": "o", "roles": ["admin"], "models": ["m"]}]',
        '[{"group": "a", "owner": "o\\u001b", "roles": ["read"]}]',
    ],
)
def test_groups_that_cannot_be_are_refused(groups: str) -> None:
    """With the name of the setting."""
    with pytest.raises(SettingsRefused, match="PREDICTQ_OIDC_GROUPS"):
        read_groups(groups)
