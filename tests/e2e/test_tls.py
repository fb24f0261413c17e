"""`predictq up` whose gateway speaks TLS: all commands do likewise, and trust no other certificate."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trustme

from cli.address import ApiAddress
from cli.http import open_http
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
    [(("127.0.0.1",), None), (("localhost", NAME), "localhost"), (("*.example",), "predictq.example")],
)
def test_the_gateway_is_called_by_a_name_that_its_certificate_is_for(
    tmp_path: Path, names: tuple[str, ...], called: str | None
) -> None:
    """By the address itself where it is for that, else by its first name."""
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
