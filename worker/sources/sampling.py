"""Some real rows of a source, for whoever wants to see what a model makes of them."""

from __future__ import annotations

import psycopg2
import pyarrow as pa

from shared.batches.claims import Claim
from shared.models.signature import Signature
from shared.sources.selection import selection_query
from shared.sources.source import Source
from worker.scoring.feature_reader import read_rows
from worker.sources.citext import find_citext, has_citext
from worker.sources.failures import source_failure
from worker.sources.reader import SourceReader
from worker.sources.statements import session

_SECONDS = 25.0


def sample_rows(reader: SourceReader, source: Source, signature: Signature, rows: int) -> pa.Table:
    """Features of the first `rows` clients by key, in signature order; fewer where there are not so many.

    Raises SourceAway, SourceFailed.
    """
    found = read_rows(reader, [_first_clients(reader, source, rows)], signature)
    return found.features.filter(pa.array(found.is_known))


def _first_clients(reader: SourceReader, source: Source, rows: int) -> Claim:
    """A batch of these clients that is in no table."""
    storage = source.key_form.storage
    with reader.connected(source) as driver, driver.cursor() as cursor:
        try:
            schema = find_citext(driver, source).schema if has_citext(source) else None
            query, parameters = selection_query(source, {}, after=None, citext_schema=schema)
            statement = f"SELECT * FROM ({query}) q LIMIT {int(rows)}"
            cursor.execute(session(source, statement_seconds=_SECONDS) + statement, parameters)
            elements = [str(row[0]) for row in cursor.fetchall()]
            text = "{" + ",".join(elements) + "}"
            cursor.execute("SELECT %s::text[]", (text,))
            keys = cursor.fetchone()
        except psycopg2.Error as error:
            raise source_failure(source.name, error) from None
    return Claim(
        batch_id=0,
        fence=0,
        attempt=1,
        model_version_id=0,
        request_count=len(elements),
        job_id=None,
        waited_seconds=0.0,
        source_id=source.id,
        keys_int8=text if storage == "int8" else None,
        keys_uuid=text if storage == "uuid" else None,
        keys_text=list(keys[0]) if keys and storage == "text" else None,
        given=None,
    )
