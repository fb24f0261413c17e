"""`make catalogue`: write sql/catalogue.txt anew, from the migrations as they are, on a server of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sqlalchemy import create_engine

from devstack.servers.postgres import EmbeddedPostgres
from sql.catalogue import CATALOGUE, read_catalogue
from sql.migrate import upgrade


def main() -> None:
    """Migrate an empty database and write down what came of it."""
    with tempfile.TemporaryDirectory() as directory, EmbeddedPostgres(Path(directory) / "data") as server:
        engine = create_engine(server.url)
        upgrade(engine)
        with engine.begin() as connection:
            lines = read_catalogue(connection)
        engine.dispose()
        server.destroy()
    CATALOGUE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
