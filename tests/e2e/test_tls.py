"""`predictq up` whose gateway speaks TLS: all commands do likewise, and trust no other certificate."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
import trustme

from cli.connection.address import ApiAddress
from cli.connection.http import open_http
from cli.errors import GatewayAway, UsageProblem
from devstack.gateway_tls import CertificateUnfit, read_gateway_tls
from devstack.servers.ports import free_port
from tests.e2e.support import predictq, running_up
from tests.support import wait_until

NAME = "scoring.example"


def certificate_in(directory: Path, authority: trustme.CA, *names: str) -> tuple[Path, Path]:
    issued = authority.issue_cert(*names)
    certificate, key = directory / "cert.pem", directory / "key.pem"
    certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


def test_a_stack_speaks_tls_and_so_do_its_commands(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The certificate is for another name than the loopback address, and of an authority that nobody here knows."""
    authority = trustme.CA()
    certificate, key = certificate_in(tmp_path, authority, NAME)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-ca", str(ca)]
    port = str(free_port())
    with running_up(tmp_path, *options, "--workers", "1", "--no-flower", "--port", port) as up:
        state = up.state
        assert state["api_url"] == f"https://127.0.0.1:{port}"
        assert f"https://{NAME}:{port}/sign-in?link=" in up.log.read_text()
        assert up.ask("jobs") == []
        assert "is ready" in up.run("doctor").stdout
        assert up.ask("workers")
        assert f"https://{NAME}:{port}/sign-in?link=" in up.run("open").stdout
        # By address and key alone, as from another directory: nothing is trusted that nobody named.
        away = tmp_path_factory.mktemp("elsewhere")
        known = {"PREDICTQ_API_URL": state["api_url"], "PREDICTQ_API_KEY": state["api_key"]}
        refused = predictq(away, "jobs", **known)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "PREDICTQ_TLS_CA" in refused.stderr
        refused = predictq(away, "jobs", **known, PREDICTQ_TLS_CA=str(ca))
        assert "PREDICTQ_TLS_NAME" in refused.stderr
        trusted = predictq(away, "jobs", "--json", **known, PREDICTQ_TLS_CA=str(ca), PREDICTQ_TLS_NAME=NAME)
        assert (trusted.returncode, trusted.stdout.strip()) == (0, "[]")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/health")
        with open_http(ApiAddress(state["api_url"], None, str(ca), NAME)) as http:
            assert http.get("/sign-in", headers={"Host": f"{NAME}:{port}"}).status_code == 200
        # Another's certificate, put in its place: no command sends its key.
        certificate_in(tmp_path, trustme.CA(), NAME)
        wait_until(lambda: up.run("jobs").returncode == 1, seconds=30, what="the other certificate is refused")


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (("127.0.0.1",), None),
        (("localhost", NAME), "localhost"),
        (("*.example",), "predictq.example"),
        (("10.1.2.3",), "10.1.2.3"),
    ],
)
def test_the_gateway_is_called_by_a_name_that_its_certificate_is_for(
    tmp_path: Path, names: tuple[str, ...], called: str | None
) -> None:
    """By the loopback address where it is for that, else by its first name, or the address that it is for alone."""
    found = read_gateway_tls(*certificate_in(tmp_path, trustme.CA(), *names), None)
    assert found.name == called


def test_files_that_are_no_certificate_are_refused_at_once(tmp_path: Path) -> None:
    """With their names, before anything is started."""
    certificate, key = certificate_in(tmp_path, trustme.CA(), NAME)
    for files in ((key, key), (certificate, tmp_path / "none.pem"), (tmp_path / "none.pem", key)):
        with pytest.raises(CertificateUnfit, match=r"\.pem"):
            read_gateway_tls(*files, None)
    with pytest.raises(CertificateUnfit, match="authority"):
        read_gateway_tls(certificate, key, tmp_path / "authority.pem")
    alone = predictq(tmp_path, "up", "--tls-cert", str(certificate))
    assert (alone.returncode, "--tls-key" in alone.stderr) == (2, True)
    assert not (tmp_path / ".predictq").exists()


def test_a_certificate_is_read_where_it_was_named(tmp_path: Path) -> None:
    """Not where a symbolic link leads now: who renews a certificate points the link at the new one."""
    (tmp_path / "first").mkdir()
    certificate, key = certificate_in(tmp_path / "first", trustme.CA(), NAME)
    (tmp_path / "live").symlink_to(tmp_path / "first")
    link = tmp_path / "live.pem"
    link.symlink_to(certificate)
    found = read_gateway_tls(link, tmp_path / "live" / key.name, link)
    assert (found.certificate, found.key, found.authority) == (link, tmp_path / "live" / key.name, link)


def test_an_authority_that_the_machine_knows_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's own authority is among the machine's; it is in no bundle of Python's."""
    authority = trustme.CA()
    known = tmp_path / "known.pem"
    authority.cert_pem.write_to_path(known)
    certificate, key = certificate_in(tmp_path, authority, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    answering = threading.Thread(target=server.serve_forever, args=(0.05,))
    answering.start()
    address = ApiAddress(f"https://localhost:{server.server_port}", None)
    try:
        with open_http(address) as http, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            http.get("/")
        monkeypatch.setattr(
            ssl.SSLContext, "load_default_certs", lambda own, _purpose: own.load_verify_locations(known)
        )
        with open_http(address) as http:
            assert http.get("/").status_code == 501
    finally:
        server.shutdown()
        answering.join()
        server.server_close()


def test_a_certificate_that_has_expired_is_said_to_be() -> None:
    """It is not of a stranger: to trust another authority would change nothing."""
    told = str(GatewayAway("https://x", OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired (_ssl.c:1)")))
    assert told.endswith("its certificate has expired: renew it")


def test_a_file_that_names_no_authority_is_told_with_both_ways_to_name_it(tmp_path: Path) -> None:
    """Whoever typed --tls-ca has set no variable."""
    with pytest.raises(UsageProblem, match="--tls-ca or PREDICTQ_TLS_CA"):
        open_http(ApiAddress("https://127.0.0.1:1", None, str(tmp_path / "none.pem")))
