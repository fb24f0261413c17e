"""How fast storage grows, read often: in few rows however much is stored, and about right."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.postgres.engine import transaction
from shared.storage.usage import read_lately
from shared.watching.attention import read_attention
from tests.integration.jobs.plan_support import blocks_of
from tests.support import add_model

_MANY = 60_000

# Pages of one row, from so many days ago on; the newest of `ended` days ago.
_PAGES = """
INSERT INTO predictq.batch_outputs (batch_id, model_version_id, fence, attempts, request_count, succeeded, failed,
                                    cancelled, worker, "values", threshold, created_at)
SELECT n, (SELECT max(v.id) FROM predictq.model_versions v), 1, 1, 1, 1, 0, 0, 'w', ARRAY[0.5::float8], 0.5,
       now() - make_interval(secs => 86400.0 * (:ended + (:pages - n) * :days / :pages))
FROM generate_series(1, :pages) n
"""


def store(engine: Engine, *, pages: int, days: float, ended: float = 0) -> int:
    """Returns what the last 30 days take with nothing in them: this week's empty partition of jobs."""
    add_model(engine)
    with transaction(engine) as connection:
        empty = read_lately(connection)
        connection.execute(text(_PAGES), {"pages": pages, "days": float(days), "ended": float(ended)})
    with transaction(engine) as connection:
        connection.execute(text("ANALYZE predictq.batch_outputs"))
    return empty


def test_what_needs_a_person_is_found_in_few_blocks_however_much_is_stored(engine: Engine, settings: Settings) -> None:
    """Open screens and probes ask every few seconds: they read no whole table."""
    store(engine, pages=_MANY, days=60)
    with transaction(engine) as connection:
        stored = connection.execute(text("SELECT pg_relation_size('predictq.batch_outputs_0') / 8192")).scalar_one()
    assert blocks_of(engine, lambda connection: read_attention(connection, settings)) < 500 < stored


@pytest.mark.parametrize(("days", "share"), [(60, 0.5), (20, 1.0), (300, 0.1)])
def test_the_size_of_the_last_30_days_is_about_their_share(engine: Engine, days: int, share: float) -> None:
    """Of one partition that grew evenly."""
    empty = store(engine, pages=_MANY, days=days)
    with transaction(engine) as connection:
        size = connection.execute(text("SELECT pg_total_relation_size('predictq.batch_outputs_0')")).scalar_one()
        assert read_lately(connection) - empty == pytest.approx(share * size, rel=0.1)


def test_what_ended_months_ago_is_not_of_late(engine: Engine) -> None:
    """A partition whose last page is older than 30 days is none of it."""
    empty = store(engine, pages=100, days=10, ended=31)
    with transaction(engine) as connection:
        assert read_lately(connection) == empty
