"""`python -m sql [--roles]`: migrate the database named by DATABASE_URL (what the container's migrate step runs)."""

from __future__ import annotations

import sys

from shared.config import load_settings
from shared.errors import PredictqError
from shared.postgres.engine import make_engine, transaction
from sql.migrate import old_install, upgrade
from sql.roles import make_roles, role_addresses


def main() -> None:
    """Migrate, and say from what to what; or say in one line why not."""
    try:
        settings = load_settings()
        engine = make_engine(settings, application_name="predictq-migrate")
        with_roles = "--roles" in sys.argv[1:]
        before, after = upgrade(engine, makes_roles=with_roles)
        made = make_roles(engine, role_addresses(settings)) if with_roles else ()
        with transaction(engine) as connection:
            note = old_install(connection)
    except PredictqError as error:
        sys.exit(f"migrate: {error}")
    sys.stdout.write(f"schema: {before or 'empty'} -> {after}\n" + (f"{note}\n" if note else ""))
    sys.stdout.writelines(f"database role of the {role.duty}: {role.name}\n" for role in made)


if __name__ == "__main__":
    main()
