"""Metrics and documents are for holders of keys, people signed in, and this machine; hosts are known by name."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from shared.access.api_keys import create_key
from shared.access.sign_in import SESSION_COOKIE, begin_session
from shared.config import Settings
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import bearer, running_gateway

PATHS = ("/metrics", "/docs", "/openapi.json")
FROM_ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}


def test_metrics_and_documents_are_not_for_everybody(settings: Settings, engine: Engine) -> None:
    """From elsewhere a key or a session is needed; from here neither, unless a stranger's page asks."""
    with transaction(engine) as connection:
        key, stored = create_key(connection, "alice", roles=["predict"])
        session = begin_session(connection, stored.id)
    with running_gateway(settings) as gateway:
        for path in PATHS:
            assert gateway.get(path).status_code == 200
            assert gateway.get(path, headers=FROM_ELSEWHERE).status_code == 401
            assert gateway.get(path, headers={"Forwarded": "for=203.0.113.9"}).status_code == 401
            assert gateway.get(path, headers={**FROM_ELSEWHERE, **bearer(key)}).status_code == 200
            assert gateway.get(path, headers={**FROM_ELSEWHERE, **bearer("pq_no")}).status_code == 401
            assert gateway.get(path, headers=bearer("pq_no")).status_code == 401
            for token, status in ((session, 200), ("made-up", 401)):
                cookie = {"Cookie": f"{SESSION_COOKIE}={token}"}
                assert gateway.get(path, headers={**FROM_ELSEWHERE, **cookie}).status_code == status
            assert gateway.get(path, headers={"Host": "rebound.example"}).status_code == 421
        assert gateway.get("/docs", headers={"Host": "rebound.example", **bearer(key)}).status_code == 421
        assert gateway.get("/health/ready", headers=FROM_ELSEWHERE).status_code == 200


def test_an_operator_may_show_them_to_all(settings: Settings) -> None:
    """For a collector that cannot send a key."""
    with running_gateway(settings.model_copy(update={"metrics_open": True})) as gateway:
        for path in PATHS:
            assert gateway.get(path, headers=FROM_ELSEWHERE).status_code == 200


def test_behind_a_trusted_proxy_the_caller_counts_and_not_the_proxy(settings: Settings) -> None:
    """A proxy on this machine makes nobody local."""
    trusting = settings.model_copy(update={"trusted_proxies": "127.0.0.1"})
    with running_gateway(trusting) as gateway:
        for said in ("203.0.113.9", "127.0.0.1"):
            assert gateway.get("/metrics", headers={"X-Forwarded-For": said}).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Client-IP", "Via", "CF-Connecting-IP", "CDN-Loop",
        "X-Envoy-External-Address", "X-Cluster-Client-IP", "Fastly-Client-IP", "X-Azure-ClientIP", "X-Azure-SocketIP",
        "X-ProxyUser-Ip", "X-Original-Forwarded-For", "X-Original-Host", "X-AppEngine-User-IP", "X-Scheme",
    ],
)  # fmt: skip
def test_a_proxy_on_this_machine_is_known_by_any_of_its_headers(settings: Settings, header: str) -> None:
    """Also one that names no address in X-Forwarded-For, or that a caller made leave it out."""
    with running_gateway(settings) as gateway:
        for path in PATHS:
            assert gateway.get(path, headers={header: "203.0.113.9"}).status_code == 401


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/models", "/v1/jobs/01a208a7-76d9-74fb-a6a9-68511ddfcb4b"])
def test_the_api_answers_by_its_own_names_where_they_are_set(settings: Settings, path: str) -> None:
    """Any name without the setting; with it no other, on the busiest calls as well."""
    method = "POST" if path == "/v1/predict" else "GET"
    with running_gateway(settings.model_copy(update={"api_hosts": "scoring.example, 127.0.0.1"})) as gateway:
        assert gateway.request(method, path).status_code == 401
        assert gateway.request(method, path, headers={"Host": "Scoring.Example:8000"}).status_code == 401
        assert gateway.request(method, path, headers={"Host": "other.example"}).status_code == 421
        assert gateway.get("/health/ready", headers={"Host": "other.example"}).status_code == 200
    with running_gateway(settings) as gateway:
        assert gateway.request(method, path, headers={"Host": "other.example"}).status_code == 401


def test_an_answer_that_is_no_screen_may_not_be_shown_as_one(settings: Settings, engine: Engine) -> None:
    """JSON, problems, metrics: nothing is loaded by them, and no page may frame them. A page has its own policy."""
    with transaction(engine) as connection:
        key = create_key(connection, "alice")[0]
    with running_gateway(settings, key) as gateway:
        for path in (
            "/v1/jobs",
            "/v1/models/none",
            "/v1/jobs/01a208a7-76d9-74fb-a6a9-68511ddfcb4b",
            "/metrics",
            "/health",
        ):
            policies = gateway.get(path).headers.get_list("content-security-policy")
            assert policies == ["default-src 'none'; frame-ancestors 'none'"], path
        refused = gateway.post("/v1/predict", json={})
        assert refused.headers.get_list("content-security-policy") == ["default-src 'none'; frame-ancestors 'none'"]
        for path in ("/sign-in", "/docs"):
            (policy,) = gateway.get(path).headers.get_list("content-security-policy")
            assert "style-src 'self'" in policy
