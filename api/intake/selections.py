"""What the JSON body of a bulk job selects: ids in a list, a filter, or all clients."""

from __future__ import annotations

from itertools import islice
from typing import Any

from api.http.problems import MOST_FLAWS, TOO_LARGE, Flaw, Invalid, Problem
from api.http.requests import unknown_fields
from api.intake.client_ids import MAX_CLIENT_ID, are_client_ids, positions_of_others
from shared.sources.selection import check_filter


def parse_selection(content: dict[str, Any], *, max_ids: int) -> tuple[list[int] | None, dict[str, Any]]:
    """A list of ids, or None and a filter, {} for all. Raises Problem or FilterRefused."""
    flaws = unknown_fields(content, "client_ids", "where", "all")
    if not flaws and len(content) != 1:
        flaws.append(Flaw("", "one_of", "give exactly one of client_ids, where and all"))
    if flaws:
        raise Invalid(*flaws)
    if "client_ids" in content:
        return _checked_ids(content["client_ids"], max_ids), {}
    if "where" in content:
        return None, _checked_filter(content["where"])
    if content["all"] is not True:
        raise Invalid(Flaw("/all", "true_expected", "all must be true"))
    return None, {}


def _checked_filter(where: Any) -> dict[str, Any]:
    if type(where) is not dict or not where:
        detail = 'where must be an object of columns and values, and not empty: send {"all": true} for all clients'
        raise Invalid(Flaw("/where", "filter_expected", detail))
    check_filter(where)
    return where


def _checked_ids(ids: Any, max_ids: int) -> list[int]:
    if type(ids) is not list or not ids:
        raise Invalid(Flaw("/client_ids", "ids_expected", "client_ids must be a list of at least one client id"))
    if len(ids) > max_ids:
        detail = f"client_ids may hold {max_ids:,} ids; send more as an upload of text/csv or application/x-ndjson."
        raise Problem(TOO_LARGE, detail)
    if are_client_ids(ids):
        return ids
    detail = f"must be a whole number from 1 to {MAX_CLIENT_ID}"
    raise Invalid(
        *(
            Flaw(f"/client_ids/{n}", "invalid_client_id", f"client_ids[{n}] {detail}")
            for n in islice(positions_of_others(ids), MOST_FLAWS)
        )
    )
