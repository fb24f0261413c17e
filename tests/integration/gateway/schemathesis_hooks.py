"""What Schemathesis is told of this API, beside its configuration."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext

_TEXTS = ("text/", "application/x-ndjson", "application/ndjson")
# Lines are made up as one text, as the document has it: they go out as they are.
schemathesis.serializer.alias(["application/x-ndjson", "text/csv"], "text/plain")


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    """No number, list or object in the place of a text: sent as text, as CSV is, it is one, and may be a good one."""
    is_text = (case.media_type or "").startswith(_TEXTS)
    return not is_text or isinstance(case.body, str | bytes)


# On columns that the clients have: a made-up name of a column is refused before its value is looked at.
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e20, 2.0**64, -9.3e18, 1e39, 1e-50])
_VALUES = _NUMBERS | st.lists(_NUMBERS, min_size=1, max_size=3) | st.fixed_dictionaries({"lt": _NUMBERS})
_FILTERS = st.dictionaries(st.sampled_from(["wide", "narrow", "amount", "age"]), _VALUES, min_size=1)


@schemathesis.hook
def before_generate_body(context: HookContext, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Filters of numbers of any size: what was accepted with one must be told by all later calls."""
    if context.operation is None or not context.operation.path.startswith("/v1/jobs"):
        return strategy
    return st.tuples(strategy, _FILTERS).map(_filtered)


def _filtered(drawn: tuple[Any, dict[str, Any]]) -> Any:
    body, where = drawn
    return {**body, "where": where} if isinstance(body, dict) and body.get("where") else body
