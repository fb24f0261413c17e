"""TLS of a stack's gateway: the certificate, and by which of its names it is called from this machine."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from devstack.errors import EmbeddedError

LOOPBACK = "127.0.0.1"


class CertificateUnfit(EmbeddedError):
    """The files of --tls-cert, --tls-key and --tls-ca cannot be used."""


@dataclass(frozen=True, slots=True)
class GatewayTls:
    """The files, and `name`: what the certificate calls the gateway, where that is not the address that is called."""

    certificate: Path
    key: Path
    authority: Path | None  # whose certificate this machine does not know by itself
    name: str | None

    @property
    def arguments(self) -> list[str]:
        """What the gateway is started with."""
        return ["--tls-cert", str(self.certificate), "--tls-key", str(self.key)]


def read_gateway_tls(certificate: Path, key: Path, authority: Path | None) -> GatewayTls:
    """Look at the files. Raises CertificateUnfit."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=_no_password)
        if authority is not None:
            ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(map(str, filter(None, (certificate, key, authority))))
        raise CertificateUnfit(f"{files} cannot be used (PEM, the key without a password): {error}") from None
    # Not resolve(): who renews certificates points a symbolic link at the new one.
    own = None if authority is None else authority.absolute()
    return GatewayTls(certificate.absolute(), key.absolute(), own, _name_in(certificate))


def _name_in(certificate: Path) -> str | None:
    """None where it is for 127.0.0.1, else the first name, or else IPv4 address, that it is for.

    Raises CertificateUnfit.
    """
    from cryptography import x509  # noqa: PLC0415 - takes its time, and is needed with TLS alone

    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise CertificateUnfit(f"{certificate} names no host (subjectAltName): no program would trust it") from None
    addresses = names.get_values_for_type(x509.IPAddress)
    if ip_address(LOOPBACK) in addresses:
        return None
    hosts = names.get_values_for_type(x509.DNSName)
    hosts = hosts or [str(address) for address in addresses if isinstance(address, IPv4Address)]
    if not hosts:
        raise CertificateUnfit(f"{certificate} names neither a host nor an IPv4 address: no command could call it")
    return "localhost" if "localhost" in hosts else str(hosts[0]).replace("*", "predictq", 1)


def _no_password() -> str:
    raise ssl.SSLError("the key asks for a password")
