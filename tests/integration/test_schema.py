"""The schema: it migrates from everywhere, does not drift from the tables, and refuses what must not happen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from shared.postgres.tables import metadata
from sql.migrate import alembic_config, head_revision, upgrade

REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_upgrade_reaches_head_from_every_revision(make_database: Callable[..., str], revision: str | None) -> None:
    """Whatever revision a database is at, one upgrade brings it to the newest."""
    engine = create_engine(make_database(migrated=False))
    if revision is not None:
        upgrade(engine, revision)
    assert upgrade(engine) == (revision, head_revision())
    engine.dispose()


def test_tables_and_schema_do_not_drift(engine: Engine) -> None:
    """The tables in code and the migrated schema are the same, types and defaults included."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        drift = compare_metadata(context, metadata)
    # Comments are for readers of psql and live in the migrations alone.
    assert [item for item in drift if item[0] != "remove_table_comment"] == []


def _refused(engine: Engine, statement: str, words: str) -> None:
    with pytest.raises(DBAPIError, match=words), engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("table", ["prediction_requests", "prediction_outputs", "clients_history"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_append_only_tables_refuse_removal(engine: Engine, table: str, statement: str) -> None:
    """No request, output or old client version is ever removed."""
    _refused(engine, statement.format(table), "append-only")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE prediction_requests SET client_id = 2", "UPDATE prediction_outputs SET label = 1"],
)
def test_append_only_tables_refuse_change(engine: Engine, statement: str) -> None:
    """No request or output is ever changed."""
    _refused(engine, statement, "append-only")


def _add_client(engine: Engine, client_id: int, **features: object) -> None:
    columns = ", ".join(["client_id", *features])
    values = ", ".join([":client_id", *(f":{name}" for name in features)])
    with engine.begin() as connection:
        connection.execute(
            text(f"INSERT INTO clients ({columns}) VALUES ({values})"), {"client_id": client_id, **features}
        )


def _client_versions(engine: Engine, client_id: int) -> tuple[int | None, list[tuple[int, int, str]]]:
    with engine.connect() as connection:
        now = connection.execute(
            text("SELECT version FROM clients WHERE client_id = :id"), {"id": client_id}
        ).scalar_one_or_none()
        history = connection.execute(
            text("SELECT version, age, operation FROM clients_history WHERE client_id = :id ORDER BY 1"),
            {"id": client_id},
        )
        return now, [tuple(row) for row in history]


def _run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_every_version_of_a_client_is_kept(engine: Engine) -> None:
    """A change raises the version and keeps the old row; no change keeps the version; a return goes on counting."""
    _add_client(engine, 7, age=30)
    _run(engine, "UPDATE clients SET age = 31 WHERE client_id = 7")
    _run(engine, "UPDATE clients SET age = 31 WHERE client_id = 7")
    assert _client_versions(engine, 7) == (2, [(1, 30, "UPDATE")])
    _run(engine, "DELETE FROM clients WHERE client_id = 7")
    assert _client_versions(engine, 7) == (None, [(1, 30, "UPDATE"), (2, 31, "DELETE")])
    _add_client(engine, 7, age=31)
    assert _client_versions(engine, 7)[0] == 3


def test_a_client_id_never_changes(engine: Engine) -> None:
    """Renumbering a client would orphan its history, so it is refused."""
    _add_client(engine, 8, age=30)
    _refused(engine, "UPDATE clients SET client_id = 9 WHERE client_id = 8", "never changes")


def test_impossible_feature_values_are_refused(engine: Engine) -> None:
    """A value outside a feature's range does not get into the table."""
    with pytest.raises(IntegrityError, match="clients_age_check"):
        _add_client(engine, 9, age=7)


_MODEL = """INSERT INTO model_versions (name, sha256, signature, threshold, metadata, artefact, is_live, promoted_at)
VALUES ('m', repeat('a', 64), '{"features": []}', 0.5, '{}', '\\x00', true, now())"""


def test_models_are_immutable_and_one_is_live(engine: Engine) -> None:
    """A registered model never changes, and there is never a second live one."""
    _run(engine, _MODEL)
    _refused(engine, "UPDATE model_versions SET threshold = 0.4", "immutable")
    _refused(engine, "DELETE FROM model_versions", "append-only")
    _refused(engine, _MODEL, "model_versions_one_live")


_BATCH = """
INSERT INTO jobs (id, kind, owner, model_version, request_count) VALUES (uuid_nil(), 'bulk', 'me', 1, 2);
INSERT INTO prediction_batches (id, job_id, queue, model_version, request_count, fence, worker)
VALUES (5, uuid_nil(), 'bulk', 1, 2, 3, 'w');
INSERT INTO prediction_requests (request_id, job_id, client_id) VALUES (500000, uuid_nil(), 1);
""".replace("uuid_nil()", "'00000000-0000-0000-0000-000000000000'")


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        ("probability, label, threshold", "0.4, 1, 0.5", "outputs_answer_or_error"),  # label against its threshold
        ("probability, label, threshold", "1.4, 1, 0.5", "probability_check"),
        ("error_code", "'missing_feature'", "outputs_answer_or_error"),  # a code without words
        ("threshold", "0.5", "outputs_answer_or_error"),  # neither answer nor error
    ],
)
def test_outputs_are_an_answer_or_a_stated_error(engine: Engine, columns: str, values: str, words: str) -> None:
    """An output that is neither a whole answer nor a stated error is refused by the database itself."""
    _run(engine, _MODEL)
    _run(engine, _BATCH)
    statement = "INSERT INTO prediction_outputs (request_id, model_version, fence, {}) VALUES (500000, 1, 3, {})"
    _refused(engine, statement.format(columns, values), words)


@pytest.mark.parametrize(
    ("request_id", "model", "fence"), [(500001, 1, 3), (500000, 1, 2), (500000, 2, 3), (700000, 1, 3)]
)
def test_outputs_belong_to_a_request_and_the_newest_claim(
    engine: Engine, request_id: int, model: int, fence: int
) -> None:
    """No output without its request, with an old fence, or of another model gets in."""
    _run(engine, _MODEL)
    _run(engine, _BATCH)
    statement = """INSERT INTO prediction_outputs (request_id, model_version, fence, probability, label, threshold)
                   VALUES ({}, {}, {}, 0.7, 1, 0.5)"""
    _run(engine, statement.format(500000, 1, 3))
    _refused(engine, statement.format(request_id, model, fence), "no such request|duplicate key")


def test_requests_belong_to_a_job_and_its_batch(engine: Engine) -> None:
    """A request without its job, or in a batch that is not its job's, is refused."""
    _run(engine, _MODEL)
    _run(engine, _BATCH)
    other = "'00000000-0000-0000-0000-000000000001'"
    statement = "INSERT INTO prediction_requests (request_id, job_id, client_id) VALUES ({}, {}, 1)"
    _refused(engine, statement.format(500001, other), "no such job")
    _refused(engine, statement.format(600001, "'00000000-0000-0000-0000-000000000000'"), "no such job")
