"""Where a client is named beside her predictions, for an export of all that is held of her: jobs and files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.erasure.elsewhere import filters_naming, uploads_with
from shared.erasure.keys import ClientKey
from shared.erasure.naming import names_client

Json = dict[str, Any]


def jobs_naming(connection: Connection, key: ClientKey, her_jobs: Collection[UUID]) -> list[Json]:
    """Jobs whose filter names her, and those of `her_jobs` whose name or error does; what does not is null.

    These are what an erasure takes her out of.
    """
    filters = {one.job_id: one.selection["where"] for one in filters_naming(connection, key)}
    ids = [str(job_id) for job_id in {*her_jobs, *filters}]
    found = []
    for job in connection.execute(_JOBS, {"ids": ids}) if ids else ():
        name, detail = (words if words and names_client(words, key) else None for words in (job.name, job.error_detail))
        where = filters.get(job.id)
        if where is not None or name is not None or detail is not None:
            named = {"filter": where, "name": name, "error_detail": detail}
            found.append({"job_id": job.id, "owner": job.owner, "created_at": job.created_at, **named})
    return found


def files_with(engine: Engine, key: ClientKey) -> list[Json]:
    """Uploads that hold her key; also those that are no plain text, in which nobody has looked."""
    names = ("id", "owner", "media_type", "size", "created_at", "expires_at")
    return [{name: getattr(upload, name) for name in names} for upload in uploads_with(engine, key)]


_JOBS = text("""
SELECT id, owner, created_at, name, error_detail FROM predictq.jobs WHERE id = ANY (CAST(:ids AS uuid[])) ORDER BY id
""")
