"""What kinds of values a column may hold, as people call them. The types of programs stand beside these words."""

from __future__ import annotations

from web.words.catalogues import N_

KINDS = {
    "integer": N_("whole number"),
    "number": N_("number"),
    "boolean": N_("yes / no"),
    "category": N_("text"),
    "datetime": N_("date and time"),
}
