"""The whole schema, in PostgreSQL's own language beside this file: what callers, work, pages and views are made of."""

from pathlib import Path

from alembic import op

revision = "pages_0001"
down_revision = None
branch_labels = None
depends_on = None

_FILES = Path(__file__).parent / "pages_0001"
_WEEKS_AHEAD = 8
_RANGES_AHEAD = 8


def upgrade() -> None:
    connection = op.get_bind()
    for file in sorted(_FILES.glob("*.sql")):
        # As the driver's own statement: a colon or a percent sign in a file is no parameter.
        connection.connection.cursor().execute(file.read_text(encoding="utf-8"))
    op.execute(f"SELECT predictq.make_job_partitions(interval '{_WEEKS_AHEAD} weeks')")
    op.execute(f"SELECT predictq.make_batch_partitions({_RANGES_AHEAD})")
    op.execute("""
INSERT INTO predictq.installation (system_identifier, hash_secret)
SELECT system_identifier::text, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
FROM pg_control_system()
""")
