"""TLS of the gateway's own: a certificate that is read again whenever its file has changed."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from shared.errors import PredictqError
from shared.logging import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 1.0  # between two looks at the files

_Stamp = tuple[int, ...]


class CertificateRefused(PredictqError):
    """The files hold no certificate with its key."""

    def __init__(self, certificate: Path, key: Path, why: Exception) -> None:
        super().__init__(f"{certificate} and {key} are no certificate (PEM, with its chain) and its private key: {why}")


class Certificate:
    """The TLS context of a certificate and its key, as their files are now."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both. Raises CertificateRefused."""
        self._files = (certificate, key)
        self._looked_at = time.monotonic()
        try:
            self._stamp = self._read_stamp()
            self._context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise CertificateRefused(certificate, key, error) from error

    def context(self) -> ssl.SSLContext:
        """For the next connection. Files that cannot be used leave the last one that could."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return self._context

    def _look(self) -> None:
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return
            self._context = self._load()
        except (OSError, ssl.SSLError) as error:  # half written, perhaps: it is tried again
            log.warning("certificate_not_reloaded", reason=str(error))
        else:
            self._stamp = stamp
            log.info("certificate_reloaded", file=str(self._files[0]))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files, password=_no_password)
        return context

    def _read_stamp(self) -> _Stamp:
        found = [path.stat() for path in self._files]
        return tuple(number for each in found for number in (each.st_mtime_ns, each.st_size, each.st_ino))


def _no_password() -> str:
    """Raise: without this, OpenSSL would ask for one at the terminal and wait."""
    raise ssl.SSLError("the key asks for a password; give one without")
