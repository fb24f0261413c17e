"""The key of a stack's own user: made once, kept in the stack's directory, made again when it was revoked."""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import Engine

from devstack.files import write_private
from shared.access.api_keys import create_key, find_key
from shared.postgres.engine import transaction

KEY_FILE = "api-key"
FLOWER_FILE = "flower-password"
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


def flower_password(directory: Path) -> str:
    """Flower's password, made once; the file in `directory` that holds it is 0600."""
    path = directory / FLOWER_FILE
    if not path.exists():
        write_private(path, secrets.token_urlsafe(12))
    return path.read_text(encoding="utf-8").strip()
