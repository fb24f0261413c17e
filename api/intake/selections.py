"""What the JSON body of a bulk job asks for: a list, a filter, or all clients; and what it says of the job."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.http.problems import TOO_LARGE, Flaw, Invalid, Problem
from api.http.requests import unknown_fields
from api.intake.client_ids import are_whole_numbers, parse_client_ids
from api.intake.key_spool import KeySpool
from api.intake.table_uploads import ORDER_FIELDS
from shared.errors import FilterRefused
from shared.jobs.accepting.key_pages import KeyPages, ListedIds, ListedKeys, key_lines
from shared.json_text.steps import STEP_BYTES, canonical_pieces
from shared.plain_names import unprintable_in
from shared.sources.keys import KeyForm
from shared.sources.selection import check_filter
from shared.sources.source import Source
from shared.uploads.key_lines import KeyLines

_FIELDS = ("client_ids", "where", "all", "model", "name", "deadline")
_LONGEST_NAME = 200
AT_ONCE = 500  # ids or values that are looked at in one step: a millisecond


@dataclass(frozen=True, slots=True)
class Asked:
    """The body of a bulk job, as far as it can be read without knowing the model."""

    model: object  # its name, as it was given; None: the default
    name: str | None
    deadline: datetime | None
    client_ids: Sequence[object] | None
    where: Mapping[str, Any]  # {} for all clients, and where a list was given

    def of_job(self) -> list[str | None]:
        """What is asked of the job itself, as it counts for the Idempotency-Key: a deadline in whatever zone."""
        return [self.name, None if self.deadline is None else self.deadline.isoformat()]


def parse_asked(content: dict[str, Any], *, max_ids: int) -> Asked:
    """Read the body of a bulk job. Raises Problem."""
    flaws = unknown_fields(content, *_FIELDS, *(ORDER_FIELDS if "upload" in content else ("upload",)))
    if not flaws and sum(field in content for field in ("client_ids", "where", "all", "upload")) != 1:
        flaws.append(Flaw("", "one_of", "give exactly one of client_ids, where, all and upload"))
    if flaws:
        raise Invalid(*flaws)
    if "all" in content and content["all"] is not True:
        raise Invalid(Flaw("/all", "true_expected", "all must be true"))
    where = content.get("where", {})
    if "where" in content and (type(where) is not dict or not where):
        detail = 'where must be an object of columns and values, and not empty: send {"all": true} for all clients'
        raise Invalid(Flaw("/where", "filter_expected", detail))
    ids = _checked_list(content["client_ids"], max_ids) if "client_ids" in content else None
    return Asked(content.get("model"), job_name(content.get("name")), job_deadline(content.get("deadline")), ids, where)


def listed_keys(ids: Sequence[object], keys: KeyForm) -> KeyPages:
    """The clients of a list. Raises Invalid."""
    given = list(ids)
    if keys.storage == "int8" and are_whole_numbers(given) and keys.columns[0].type == "bigint":
        return ListedIds(given)  # type: ignore[arg-type]  # all are int
    return ListedKeys(parse_client_ids(given, keys), keys.storage)


def key_steps(ids: Sequence[object], keys: KeyForm, spool: KeySpool) -> Generator[None, None, None]:
    """Put the clients of a list into the spool, some at each step. Raises Invalid."""
    is_plain = keys.storage == "int8" and keys.columns[0].type == "bigint"
    for start in range(0, len(ids), AT_ONCE):
        part = list(ids[start : start + AT_ONCE])
        if is_plain and are_whole_numbers(part):
            spool.keep(KeyLines(("\n".join(map(str, part)) + "\n").encode(), len(part)))
        else:
            spool.keep(key_lines(parse_client_ids(part, keys, first=start), keys.storage))
        yield


def filter_steps(where: Mapping[str, Any], source: Source, *, most_values: int) -> Generator[None, None, None]:
    """Look at a filter, some of its values at each step.

    Raises FilterRefused where it names what the source does not have, compares it with what it is not, or has too many
    values.
    """
    values = 0
    for name, value in where.items():
        values += len(value) if isinstance(value, list) else 1
        if values > most_values:
            detail = f"the filter compares with more than {most_values:,} values: upload the clients' keys instead"
            raise FilterRefused(name, detail)
    for name, value in where.items():
        if isinstance(value, list) and len(value) > AT_ONCE:
            for start in range(0, len(value), AT_ONCE):
                check_filter({name: value[start : start + AT_ONCE]}, source)
                yield
        else:
            check_filter({name: value}, source)
            yield


def digest_steps(*asked: object) -> Generator[None, None, bytes]:
    """The SHA-256 of what is asked for, in one spelling, some kilobytes at each step."""
    digest, size = hashlib.sha256(), 0
    for number, item in enumerate(asked):
        digest.update(b"," if number else b"[")
        for piece in canonical_pieces(item):
            digest.update(piece)
            size += len(piece)
            if size > STEP_BYTES:
                yield
                size = 0
    digest.update(b"]")
    return digest.digest()


def _checked_list(ids: Any, max_ids: int) -> list[object]:
    if type(ids) is not list or not ids:
        raise Invalid(Flaw("/client_ids", "ids_expected", "client_ids must be a list of at least one client id"))
    if len(ids) > max_ids:
        detail = f"client_ids may hold {max_ids:,} ids; send more as an upload of text/csv or application/x-ndjson."
        raise Problem(TOO_LARGE, detail)
    return ids


def job_name(name: object) -> str | None:
    """What the owner calls the job. Raises Invalid."""
    if name is None:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or unprintable_in(name) is not None:
        detail = f"name must be a text of 1 to {_LONGEST_NAME} printable characters"
        raise Invalid(Flaw("/name", "invalid_name", detail))
    return name


def job_deadline(text: object) -> datetime | None:
    """When the job must have ended. Raises Invalid."""
    if text is None:
        return None
    try:
        deadline = datetime.fromisoformat(text) if isinstance(text, str) else None
        # PostgreSQL knows no zone that is 16 hours or more from UTC.
        deadline = deadline.astimezone(UTC) if deadline is not None and deadline.tzinfo is not None else None
    except (ValueError, OverflowError):
        deadline = None
    if deadline is None:
        detail = "deadline must be a time with its zone, as in 2026-11-26T18:00:00Z"
        raise Invalid(Flaw("/deadline", "invalid_deadline", detail))
    if deadline <= datetime.now(UTC):
        raise Invalid(Flaw("/deadline", "deadline_passed", "deadline lies in the past"))
    return deadline
