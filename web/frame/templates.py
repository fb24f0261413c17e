"""Templates: one environment per language, every value escaped unless it says itself that it is markup."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.http.root_path import rooted
from web.charts import bars
from web.words import codes, conditions, statuses, values, verdicts
from web.words.catalogues import translations

ROOM = Path(__file__).parent.parent
STATIC = ROOM / "static"


class Absent(StrictUndefined):
    """What is not there. A field that the API leaves out counts as false; all else that is misspelt is an error."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # StrictUndefined calls its own that never returns
        """False for a field of JSON; an UndefinedError for a name."""
        if not isinstance(self._undefined_obj, dict):
            self._fail_with_undefined_error()
        return False


@lru_cache
def environment(code: str) -> Environment:
    """The templates in one language."""
    made = Environment(
        loader=FileSystemLoader(ROOM / "templates"),
        autoescape=True,
        undefined=Absent,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        auto_reload=False,
    )
    texts = translations(code)
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {
        "url": rooted,
        "asset": asset,
        "progress_bar": bars.progress_bar,
        "state_of": statuses.state_of,
        "meaning_of": codes.meaning_of,
        "meaning_of_job": codes.meaning_of_job,
        "shown_client": values.shown_client,
        "filter_words": conditions.filter_words,
        "shown_label": values.shown_label,
        "said_of": verdicts.said_of,
        "shown_queue": statuses.shown_queue,
        "kind_words": values.KINDS,
    }
    made.filters["middle"] = cut_in_middle
    return made


@lru_cache
def asset(name: str) -> str:
    """The address of a file of `web/static`; it changes with the file, so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def cut_in_middle(text: str, most: int = 28) -> str:
    """A long text without its middle: keys differ at their ends."""
    head = (most - 1) // 2
    return text if len(text) <= most else f"{text[:head]}…{text[head + 1 - most :]}"
