"""The key of a stack's own user: made once, kept in the stack's directory, made again when it was revoked."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from devstack.files import write_private
from shared.api_keys import create_key, find_key
from shared.postgres.engine import transaction

KEY_FILE = "api-key"
OWNER = "local"


def local_key(engine: Engine, directory: Path) -> str:
    """A key of the owner `local`, who may promote models; the file in `directory` that holds it is 0600."""
    path = directory / KEY_FILE
    known = path.read_text(encoding="utf-8").strip() if path.exists() else None
    with transaction(engine) as connection:
        if known and find_key(connection, known):
            return known
        key, _ = create_key(connection, OWNER, is_admin=True)
    write_private(path, key)
    return key
