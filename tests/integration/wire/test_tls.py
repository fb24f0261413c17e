"""The gateway's own TLS: a certificate that callers check, read again when it changes, and no way around it."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Engine

from api.server.wire.tls import Certificate, CertificateRefused
from devstack.servers.ports import free_port
from shared.config import Settings
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.support import ROOT, add_clients, add_model, environment, wait_until

LATE = 20  # seconds that a busy machine may take


class Authority:
    """Makes certificates for 127.0.0.1 and puts them where the gateway looks."""

    def __init__(self, directory: Path) -> None:
        self.certificate, self.key = directory / "chain.pem", directory / "key.pem"
        self.serial = 0
        self.renew()

    def renew(self) -> None:
        """Another certificate, of another authority."""
        self._authority = trustme.CA()
        issued = self._authority.issue_cert("127.0.0.1", "localhost")
        self.serial += 1
        for path, content in (
            (self.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems)),
            (self.key, issued.private_key_pem.bytes()),
        ):
            new = path.with_suffix(".new")
            new.write_bytes(content)
            new.replace(path)

    def trusting(self) -> ssl.SSLContext:
        """What a caller knows who trusts the newest authority alone."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority with a certificate on disk."""
    return Authority(tmp_path)


@pytest.fixture
def gateway(settings: Settings, engine: Engine, authority: Authority) -> Iterator[Gateway]:
    """A gateway that speaks TLS, and waits three seconds for handshakes and heads."""
    add_model(engine)
    add_clients(engine, 10)
    certificate = Certificate(authority.certificate, authority.key)
    hurried = settings.model_copy(update={"head_seconds": 3, "max_connections_per_address": 20})
    with running_gateway(hurried, new_key(engine, "alice"), certificate) as client:
        yield client


def caller(gateway: Gateway, authority: Authority) -> httpx.Client:
    """A caller who checks certificates."""
    url = f"https://127.0.0.1:{gateway.base_url.port}"
    return httpx.Client(base_url=url, headers=gateway.headers, verify=authority.trusting(), timeout=30)


def test_calls_over_tls(gateway: Gateway, authority: Authority) -> None:
    """Small and large, kept alive, and many at a time; nobody is answered without TLS."""
    with caller(gateway, authority) as client:
        assert client.get("/health/live").json() == {"status": "ok"}
        assert client.post("/v1/predict", json={"client_id": 1}).status_code == 202
        rows = "client_id\n" + "1\n" * 200_000
        made = client.post("/v1/jobs", content=rows, headers={"Content-Type": "text/csv"})
        assert (made.status_code, made.json()["request_counts"]["total"]) == (202, 200_000)
        assert len(client.get("/openapi.json").content) > 50_000
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{gateway.base_url.port}/health/live")


def test_a_renewed_certificate_needs_no_restart(gateway: Gateway, authority: Authority) -> None:
    """Callers who trust the new authority alone come in within seconds, and old connections go on."""
    with caller(gateway, authority) as old:
        assert old.get("/health/live").status_code == 200
        authority.renew()

        def is_new() -> bool:
            try:
                with caller(gateway, authority) as new:
                    return new.get("/health/live").status_code == 200
            except httpx.ConnectError:
                return False

        wait_until(is_new, seconds=LATE, what="the new certificate is shown")
        assert old.get("/health/live").status_code == 200


def test_files_that_cannot_be_used_leave_the_old_certificate(gateway: Gateway, authority: Authority) -> None:
    """A key that does not fit, an empty file, and none at all."""
    kept = authority.trusting()
    url = f"https://127.0.0.1:{gateway.base_url.port}/health/live"
    other = trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes()
    for spoil in (
        lambda: authority.key.write_bytes(other),
        lambda: authority.key.write_bytes(b""),
        authority.key.unlink,
    ):
        spoil()
        wait_until(lambda: httpx.get(url, verify=kept).status_code == 200, seconds=LATE, what="still the old one")


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_a_handshake_that_does_not_come_ends(gateway: Gateway, authority: Authority, said: bytes) -> None:
    """Silence, no TLS, and half a hello: the connection is counted from its beginning, and cut."""
    with caller(gateway, authority) as client:
        sockets = [socket.create_connection(("127.0.0.1", gateway.base_url.port)) for _ in range(15)]
        for each in sockets:
            each.settimeout(LATE)
            each.sendall(said)
        assert client.get("/health/live").status_code == 200
        for each in sockets:
            try:
                while each.recv(1000):  # an alert, perhaps
                    pass
            except ConnectionResetError:
                pass
            each.close()

        def counted() -> float:
            found = re.search(r'refusals_total{reason="no_tls"} ([0-9.]+)', client.get("/metrics").text)
            return float(found[1]) if found else 0

        wait_until(lambda: counted() == 15, seconds=LATE, what="all counted")


def test_connections_are_counted_before_the_handshake(gateway: Gateway, authority: Authority) -> None:
    """The twenty-first of an address is closed at once, and there is room again afterwards."""
    sockets = [socket.create_connection(("127.0.0.1", gateway.base_url.port)) for _ in range(20)]
    with socket.create_connection(("127.0.0.1", gateway.base_url.port)) as beyond:
        beyond.settimeout(LATE)
        assert beyond.recv(100) == b""
    for each in sockets:
        each.close()

    def has_room() -> bool:
        try:
            with caller(gateway, authority) as client:
                return client.get("/health/live").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(has_room, seconds=LATE, what="room again")


def test_the_program_takes_both_files(settings: Settings, engine: Engine, authority: Authority) -> None:
    """`--tls-cert` and `--tls-key`; one alone, or files that hold nothing, stop it with a line that names them."""
    port = free_port()
    command = [sys.executable, "-m", "api", "--port", str(port), "--tls-cert", str(authority.certificate)]
    alone = subprocess.run(command, env=environment(settings), cwd=ROOT, capture_output=True, text=True, check=False)
    assert alone.returncode == 2
    assert "--tls-cert and --tls-key are given together" in alone.stderr
    wrong = [*command, "--tls-key", str(ROOT / "README.md")]
    refused = subprocess.run(wrong, env=environment(settings), cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "README.md are no certificate" in refused.stderr
    right = [*command, "--tls-key", str(authority.key)]
    with subprocess.Popen(right, env=environment(settings), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"https://127.0.0.1:{port}/health/live"

            def answers() -> bool:
                try:
                    return httpx.get(url, verify=authority.trusting()).status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(answers, seconds=60, what="the program answers over TLS")
        finally:
            process.terminate()
        assert process.wait(30) == 0


def test_a_key_with_a_password_is_refused(tmp_path: Path, authority: Authority) -> None:
    """Nobody is there to type it."""
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    locked.write_bytes(key.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(CertificateRefused, match="password"):
        Certificate(authority.certificate, locked)
