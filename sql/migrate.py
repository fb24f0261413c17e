"""Bring a database to the newest schema, from whatever earlier revision it is at."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from sql.refusals import check_encoding, check_nothing_lacks, check_schema_is_ours, explaining
from sql.roles import apply_rights

# Any fixed number: two `predictq migrate` at once must take turns, and advisory locks are named by number.
_MIGRATION_LOCK = 0x70726564
_KEPT = Path(__file__).with_name("kept.sql")


def upgrade(engine: Engine, revision: str = "head", *, makes_roles: bool = False) -> tuple[str | None, str | None]:
    """Upgrade to `revision`; returns the revisions before and after (None: an empty database).

    `makes_roles`: `make_roles` follows, so that roles which the database notes need not be there yet.

    All steps run in one transaction, so a failed upgrade leaves the database as it was. In another cluster than the
    one that it was in before, a database begins a new epoch of transaction numbers.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or does not let us in.
        MigrationRefused: something stands in the way; the text says what to do.

    """
    with explaining(), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        check_encoding(connection)
        check_schema_is_ours(connection, known_revisions())
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS predictq"))
        before = current_revision(connection)
        connection.execute(text("DROP VIEW IF EXISTS predictq.kept"))  # it would keep a migration from dropping a table
        command.upgrade(alembic_config(connection), revision)
        if revision == "head":
            connection.exec_driver_sql(_KEPT.read_text(encoding="utf-8").replace("%", "%%"))
        if before == head_revision():
            check_nothing_lacks(connection, before)
        connection.execute(_BEGIN_EPOCH)
        apply_rights(connection, makes_roles=makes_roles)
        return before, current_revision(connection)


# The numbers of transactions begin anew in another cluster: those of a database that was restored there say nothing
# beside its own, so that the audit log would hide lines until the new ones have caught up.
_BEGIN_EPOCH = text("""
UPDATE predictq.installation i SET epoch = i.epoch + 1, system_identifier = c.system_identifier::text
FROM pg_control_system() c WHERE i.system_identifier <> c.system_identifier::text
""")


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, made in code so that there is no address to keep in a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None when no migration ever ran."""
    return MigrationContext.configure(connection, opts={"version_table_schema": "predictq"}).get_current_revision()


def head_revision() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise RuntimeError("sql/versions holds no migration")
    return head


def known_revisions() -> frozenset[str]:
    """All revisions that this code can start from."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


_OLD_REVISIONS = ("0001", "0002", "0003")
_OLD_COMMENT = "One row to score. Append-only."  # how that of the old table of requests begins


def old_install(connection: Connection) -> str | None:
    """What to tell about tables of before the pages, which lie in `public`; None where there are none of ours.

    Ours have both our comment and one of our revisions: anything else of these names is somebody else's.
    """
    comment = connection.execute(
        text("SELECT obj_description(to_regclass('public.prediction_requests'), 'pg_class')")
    ).scalar_one()
    has_revision = connection.execute(text("SELECT to_regclass('public.alembic_version') IS NOT NULL")).scalar_one()
    if not (has_revision and str(comment).startswith(_OLD_COMMENT)):
        return None
    # As JSON, because a table of that name need not have that column.
    revision = connection.execute(text("SELECT to_jsonb(v) ->> 'version_num' FROM public.alembic_version v")).scalar()
    if revision not in _OLD_REVISIONS:
        return None
    return (
        f"The schema public holds the tables of an older predictq (revision {revision}). They are left as they are: "
        "nothing is converted, and this version does not use them. docs/upgrade.md says what was and what is."
    )
