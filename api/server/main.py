"""Starting the gateway: arguments, logging, the server."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from api.server.app import create_app
from api.server.memory import keep_little
from api.server.services import Services
from api.server.wire.connections import Connections
from api.server.wire.descriptors import raise_limit
from api.server.wire.listening import protocol_maker
from api.server.wire.tls import Certificate, CertificateRefused
from shared.config import Settings, SettingsRefused, load_settings
from shared.database_role import DatabaseRole
from shared.logging import configure_logging
from shared.settings.unknown import warn_of_unknown_variables

# A thread that reads for one caller waits so long for the interpreter while the loop is busy with another's body: 5 ms
# by default, at each of its steps. Beside thirteen attacks the p99 of a neighbour's calls went from 65 to 60 ms by it.
_SWITCH_SECONDS = 0.0005
_GRACE_SECONDS = 10  # for calls that are being answered when the process is told to end


class Server(uvicorn.Server):
    """uvicorn, which lets waiting callers go before it waits for open calls to end."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what is open, close."""
        services: Services = self.config.app.state.services  # type: ignore[union-attr]  # our own app
        services.waiting.release()
        services.job_events.release()
        await super().shutdown(sockets)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    options = _options()
    try:
        settings = load_settings().as_role(DatabaseRole.GATEWAY)
    except SettingsRefused as error:
        sys.exit(f"predictq api: {error}")
    configure_logging(settings, service="api")
    warn_of_unknown_variables(os.environ)
    # uvicorn ends in good order and then sends itself the signal again: that is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    raise_limit(settings.max_connections + settings.health_connections)
    try:
        certificate = Certificate(options.tls_cert, options.tls_key) if options.tls_cert else None
    except CertificateRefused as error:
        sys.exit(f"predictq api: {error}")
    server = make_server(settings, host=options.host, port=options.port, uds=options.uds, certificate=certificate)
    sys.setswitchinterval(_SWITCH_SECONDS)
    _collect_less()
    keep_little()
    server.run()


def _collect_less() -> None:
    """Leave what is imported out of garbage collections: walking it took 15 % of a call, and 80 ms at a time.

    A collection stops everything else, so the two younger generations have at most 30,000 objects. With 110,000 a
    caller with a thousand headers stopped the event loop for 63 ms; what a call costs is the same, as far as measured.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 5, 20)


def make_server(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    certificate: Certificate | None = None,
) -> Server:
    """The server with the gateway in it, not yet running; it speaks TLS where it has a certificate."""
    connections = Connections(settings, settings.root_path)
    config = uvicorn.Config(
        create_app(settings, connections),
        host=host,
        port=port,
        uds=uds,
        loop="uvloop",
        http=protocol_maker(connections, certificate),  # type: ignore[arg-type]  # called as a class is
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the protocol names the caller, by trusted proxies alone
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=4096,
    )
    return Server(config)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api", description="The gateway of predictq.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on")
    parser.add_argument("--uds", help="a Unix socket to listen on, in place of host and port")
    parser.add_argument("--tls-cert", type=Path, help="speak TLS with this certificate and its chain (PEM)")
    parser.add_argument("--tls-key", type=Path, help="its private key (PEM, without a password)")
    options = parser.parse_args()
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key are given together")
    return options
