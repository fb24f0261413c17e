"""What Schemathesis is told of this API, beside its configuration."""

from __future__ import annotations

import schemathesis
from schemathesis import Case, HookContext

_TEXTS = ("text/", "application/x-ndjson", "application/ndjson")
# Lines are made up as one text, as the document has it: they go out as they are.
schemathesis.serializer.alias(["application/x-ndjson", "text/csv"], "text/plain")


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    """No number, list or object in the place of a text: sent as text, as CSV is, it is one, and may be a good one."""
    is_text = (case.media_type or "").startswith(_TEXTS)
    return not is_text or isinstance(case.body, str | bytes)
