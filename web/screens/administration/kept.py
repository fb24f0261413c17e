"""What is kept, for administrators: for how long, by which legal holds, and what all of it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from starlette.responses import Response

from shared.retention.rules.period import FOR_EVER
from shared.storage.disk import SOON_DAYS
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.catalogues import N_
from web.words.language import Language, in_english

routes = ScreenRoutes()

_PERIOD = re.compile(r"(?:(\d+) months)?(?: ?(\d+) days)?")  # as the rules are told


@dataclass(slots=True)
class ModelStore:
    """What the answers of one model take, with their requests and jobs."""

    answers: int = 0
    size: int = 0  # bytes


@routes.get("/kept", role="admin", seconds=20)  # many months take their time
async def kept(screen: Screen) -> Response:
    """Periods, holds and storage."""
    storage = await screen.api.get("/v1/storage")
    days = storage["days_left"]
    return await screen.show(
        "kept.html",
        retention=await screen.api.get("/v1/retention"),
        holds=(await screen.api.get("/v1/holds"))["holds"],
        storage=storage,
        stores=by_model(storage["months"]),
        is_nearly_full=days is not None and days < SOON_DAYS,
        period=lambda said: told_period(screen.language, said),
    )


def by_model(months: Iterable[Mapping[str, Any]]) -> dict[str, ModelStore]:
    """The sum of each model over its months."""
    stores: dict[str, ModelStore] = {}
    for month in months:
        store = stores.setdefault(month["model"], ModelStore())
        store.answers += month["answers"]
        store.size += month["bytes"]
    return stores


def told_period(language: Language, said: str) -> Markup:
    """A period of the API, such as "13 months", in the reader's language; as it came where it has another form."""
    if said == FOR_EVER:
        return escape(language.say(N_("for ever")))
    found = _PERIOD.fullmatch(said)
    if not said or found is None:
        return in_english(said)
    months, days = found.groups()
    told = [language.say_count("%(count)s month", "%(count)s months", int(months))] if months else []
    told += [language.say_count("%(count)s day", "%(count)s days", int(days))] if days else []
    return escape(" ".join(told))
