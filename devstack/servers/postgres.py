"""A PostgreSQL server of our own."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from signal import SIGINT, SIGQUIT
from urllib.parse import urlencode

import psycopg2
from psycopg2.extensions import connection

from devstack.files import write_private
from devstack.servers.accounts import unprivileged_account
from devstack.servers.binaries import Programs, postgres_programs
from devstack.servers.cluster import (
    ADVICE,
    DATABASE,
    ENVIRONMENT,
    ROLE,
    admit_roles,
    check_owner,
    create_cluster,
    role_password,
)
from devstack.servers.leftovers import stop_leftovers
from devstack.servers.location import home_of
from devstack.servers.postgres_settings import default_settings, render
from devstack.servers.reachable import reachable
from devstack.servers.server import EmbeddedServer
from devstack.servers.sockets import discard, socket_directory
from devstack.supervision.child import Child
from shared.database_role import DatabaseRole


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL in `data_dir`, reached by the role and database `predictq`.

    The role may create databases, watch and signal, but is no superuser. `settings` go over the defaults,
    e.g. `{"shared_buffers": "32MB", "fsync": "off"}` for tests. `programs` are another PostgreSQL's than the package's.
    As root, the server runs as the account nobody.
    """

    name = "postgres"

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        programs: Programs | None = None,
    ) -> None:
        """Nothing is touched yet."""
        super().__init__(data_dir, port)
        self._given_programs = programs
        self._settings = dict(settings or {})
        self._account = unprivileged_account(self.data_dir / "pgdata")

    @property
    def url(self) -> str:
        """The address over TCP, for every program on this machine."""
        address = self.address
        return f"postgresql+psycopg2://{ROLE}:{address.password}@127.0.0.1:{address.port}/{DATABASE}"

    @property
    def socket_url(self) -> str:
        """The address over a Unix socket, faster than TCP, for programs of the user who started us."""
        address = self.address
        query = urlencode({"host": self._socket_directory(), "port": address.port}, safe="/")
        return f"postgresql+psycopg2://{ROLE}:{address.password}@/{DATABASE}?{query}"

    def url_of(self, duty: DatabaseRole, *, database: str = DATABASE) -> str:
        """The address over TCP of a service's role, which `sql.roles` makes with the password that stands in it."""
        port = self.address.port
        return f"postgresql+psycopg2://{duty.default_name}:{self._password_of(duty)}@127.0.0.1:{port}/{database}"

    def socket_url_of(self, duty: DatabaseRole) -> str:
        """The same over a Unix socket."""
        return self.socket_url.replace(
            f"{ROLE}:{self.address.password}@", f"{duty.default_name}:{self._password_of(duty)}@"
        )

    def _password_of(self, duty: DatabaseRole) -> str:
        return role_password(self.address.password, duty)

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own data directory."""
        return self._home() / "pgdata"

    @property
    def programs(self) -> Path:
        """The directory of `postgres`, `psql` and the others, which the server's account can enter.

        Raises:
            BinariesMissing: the package that brings them is not installed.

        """
        return reachable(self._given_programs or postgres_programs(), self._account)

    def child(self) -> Child:
        """The server as a supervisor's child; prepares it if need be."""
        self.prepare()
        return Child(
            name=self.name,
            argv=[str(self.programs / "postgres"), "-D", str(self.pgdata)],
            env=ENVIRONMENT,
            log_path=self.log_path,
            ready=self._answers,
            cwd=self.pgdata,
            stop_signal=SIGINT,  # a fast shutdown: SIGTERM would wait for every client to leave
            stop_timeout=30.0,
            force_signal=SIGQUIT,
            account=self._account,
            before_start=self._before_start,
            after_stop=self._release,
            advice=ADVICE,
            port=self.address.port,
        )

    def _set_up(self) -> None:
        if self.pgdata.exists():
            check_owner(self.pgdata, self._account)
            admit_roles(self.pgdata, self.programs, self._account)
            return
        sync = self._settings.get("fsync", "on") != "off"
        create_cluster(self.pgdata, self.programs, self._account, self.address.password, sync=sync)

    def _before_start(self) -> None:
        self.prepare()
        self._clear()
        own = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.address.port),
            "unix_socket_directories": f'"{self._socket_directory()}"',
        }
        path = self.pgdata / "postgresql.conf"
        write_private(path, render(default_settings() | self._settings | own))
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def _clear(self) -> None:
        stop_leftovers(self.pgdata, ["postgres"], SIGINT)

    def _home(self) -> Path:
        return home_of(self.data_dir, self._account)

    def _socket_directory(self) -> Path:
        return socket_directory(self._home(), self._account)

    def _release(self) -> None:
        if self._lock is not None:  # else nothing was prepared, and there may be no directory
            discard(self._home())
        super()._release()

    def _answers(self) -> bool:
        try:
            with self._connect() as session, session.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    def _connect(self) -> AbstractContextManager[connection]:
        return closing(
            psycopg2.connect(
                host="127.0.0.1",
                port=self.address.port,
                user=ROLE,
                password=self.address.password,
                dbname=DATABASE,
                connect_timeout=2,
                sslmode="disable",
            )
        )
