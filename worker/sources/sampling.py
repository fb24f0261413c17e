"""Some real rows of a source, for whoever wants to see what a model makes of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import psycopg2
import pyarrow as pa

from shared.batches.claims import Claim
from shared.models.signature import Signature
from shared.sources.selection import selection_query
from shared.sources.source import Source
from worker.scoring.feature_reader import Refusal, read_rows
from worker.sources.citext import find_citext, has_citext
from worker.sources.failures import source_failure
from worker.sources.reader import SourceReader
from worker.sources.statements import session

_SECONDS = 25.0


class Sample(NamedTuple):
    """Rows of a source. `refused`, by number: those with a value that no feature can have; it is null in `features`."""

    features: pa.Table
    refused: dict[int, Refusal]


def sample_rows(reader: SourceReader, source: Source, signature: Signature, rows: int) -> Sample:
    """The first `rows` clients by key, features in signature order; fewer where there are not so many.

    Raises SourceAway, SourceFailed.
    """
    found = read_rows(reader, [_first_clients(reader, source, rows)], signature)
    is_there = found.is_known.copy()  # but for those that have gone since their keys were read
    is_there[list(found.refused)] = True
    numbers = np.cumsum(is_there) - 1
    refused = {int(numbers[row]): why for row, why in found.refused.items()}
    return Sample(found.features.filter(pa.array(is_there)), refused)


def _first_clients(reader: SourceReader, source: Source, rows: int) -> Claim:
    """A batch of these clients that is in no table."""
    storage = source.key_form.storage
    with reader.connected(source) as driver, driver.cursor() as cursor:
        try:
            schema = find_citext(driver, source).schema if has_citext(source) else None
            query, parameters = selection_query(source, {}, after=None, citext_schema=schema)
            statement = f"SELECT * FROM ({query}) q LIMIT {int(rows)}"
            cursor.execute(session(source, statement_seconds=_SECONDS) + statement, parameters)
            # citext is as it is stored
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
        keys_text=list(map(source.key_form.of_source, keys[0])) if keys and storage == "text" else None,
        given=None,
    )
