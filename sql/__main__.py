"""`python -m sql`: migrate the database named by DATABASE_URL (what the container's migrate step runs)."""

from __future__ import annotations

import sys

from shared.config import load_settings
from shared.errors import PredictqError
from shared.postgres.engine import make_engine, transaction
from sql.migrate import old_install, upgrade


def main() -> None:
    """Migrate, and say from what to what; or say in one line why not."""
    try:
        engine = make_engine(load_settings(), application_name="predictq-migrate")
        before, after = upgrade(engine)
        with transaction(engine) as connection:
            note = old_install(connection)
    except PredictqError as error:
        sys.exit(f"migrate: {error}")
    sys.stdout.write(f"schema: {before or 'empty'} -> {after}\n" + (f"{note}\n" if note else ""))


if __name__ == "__main__":
    main()
