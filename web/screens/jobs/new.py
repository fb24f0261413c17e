"""A new job: of a file, of a filter built by clicking, or of all clients; it is counted before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from shared.sources.filter_words import EQUAL, CannotSay, filter_of
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.first_steps import first_steps
from web.words.api_refusals import told_refusal
from web.words.catalogues import N_
from web.words.conditions import SIGNS
from web.words.typed import column_value_typed

routes = ScreenRoutes()

_SECONDS = 45.0  # a worker counts, which takes its time
_CONDITIONS = 3  # rows of the form; a button adds one
_REFUSED = 422
_USES = {"key": N_("Key columns"), "feature": N_("Features"), "filter": N_("Only for filters")}


@routes.get("/jobs/new", role="bulk")
async def new_job(screen: Screen) -> Response:
    """The ways to a job, for one model."""
    return await show_form(screen, screen.query("model"))


@routes.post("/jobs/new", role="bulk", seconds=_SECONDS)
async def ask(screen: Screen) -> Response:
    """Add a condition, count, or send; whichever button was pressed."""
    act = screen.given("act")
    conditions = _conditions(screen)
    model = screen.given("model")
    if act == "more":
        return await show_form(screen, model, conditions=[*conditions, {}], name=screen.given("name"))
    of_all = act in ("count-all", "send-all")
    if not of_all and any(map(_lacks_column, conditions)):
        return await show_form(screen, model, conditions=conditions, name=screen.given("name"), is_checked=True)
    given = [] if of_all else _taken(screen, await _columns(screen, model), conditions)
    try:
        where = where_of(given)
    except CannotSay as error:
        words = N_("%(column)s has two values that do not go together: one limit of a kind, or values alone.")
        wrong = screen.say(words, column=error.column)
        return await show_form(screen, model, conditions=conditions, name=screen.given("name"), wrong=wrong)
    if act == "send" and screen.given("counted") != _counted(where):
        act = "count"  # the conditions are others than those whose count the button says
    try:
        if act.startswith("send"):
            return await _send(screen, model, where)
        found = await screen.api.post("/v1/jobs/count", {"model": model, "where": where})
    except ApiRefused as refused:
        if refused.status != _REFUSED:
            raise
        return await show_form(
            screen,
            model,
            conditions=conditions,
            name=screen.given("name"),
            wrong=told_refusal(screen.language, refused.problem),
        )
    return await show_form(
        screen, model, conditions=conditions, name=screen.given("name"), found=found, is_all=act == "count-all"
    )


async def show_form(
    screen: Screen,
    model: str,
    *,
    conditions: Sequence[Mapping[str, str]] = (),
    name: str = "",
    file_name: str = "",
    found: Mapping[str, Any] | None = None,
    is_all: bool = False,
    wrong: str = "",
    file_wrong: str = "",
    is_checked: bool = False,
) -> Response:
    """The form, with what was said so far and what was `found` of it; `is_checked` names rows without a column."""
    known = (await screen.api.get("/v1/models"))["models"]
    models = [one for one in known if one["live_version"]]
    chosen = chosen_model(models, model)
    version = None
    if chosen:
        version = await screen.api.get(f"/v1/models/{path_part(chosen['name'])}/versions/{chosen['live_version']}")
    columns = await _columns(screen, chosen["name"]) if chosen and chosen["source"] else []
    lacking = _CONDITIONS - len(conditions)
    return await screen.show(
        "new_job.html",
        status=_REFUSED if wrong or file_wrong or is_checked else 200,
        models=models,
        first=await first_steps(screen, known),
        chosen=chosen,
        version=version,
        conditions=[*conditions, *({} for _ in range(lacking))],
        without_column=[number for number, row in enumerate(conditions) if is_checked and _lacks_column(row)],
        columns=columns,
        uses=_USES,
        titles={spec["name"]: spec["title"] for spec in version["signature"]["features"]} if version else {},
        signs=SIGNS,
        name=name,
        file_name=file_name,
        count=found["count"] if found else None,
        first_keys=(found or {}).get("first_keys") or [],
        is_all=is_all,
        counted=_counted_of(_taken(screen, columns, conditions)),
        wrong=wrong,
        file_wrong=file_wrong,
        most=screen.services.settings.max_file_bytes,
    )


async def _columns(screen: Screen, model: str) -> list[dict[str, Any]]:
    """What a filter may name; nothing where the model has no source, which the call that uses the filter says."""
    try:
        found: list[dict[str, Any]] = (await screen.api.get("/v1/filter-columns", model=model))["columns"]
    except ApiRefused as refused:
        if refused.status != _REFUSED:
            raise
        return []
    return found


def _counted_of(conditions: Sequence[Mapping[str, str]]) -> str:
    try:
        return _counted(where_of(conditions))
    except CannotSay:
        return ""


def _counted(where: Mapping[str, Any]) -> str:
    """A filter as the form remembers it."""
    return orjson.dumps(where, option=orjson.OPT_SORT_KEYS).decode()


def chosen_model(models: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The model of this name, else the default one, else the first."""
    by_name = [one for one in models if one["name"] == name]
    return next(iter(by_name or sorted(models, key=lambda one: not one["is_default"])), None)


def _conditions(screen: Screen) -> list[dict[str, str]]:
    """The rows of the form that say something, and those between them."""
    rows = []
    for number in range(100):
        if f"column{number}" not in screen.form:
            break
        parts = ("column", "sign", "value")
        rows.append({part: screen.given(f"{part}{number}") for part in parts})
    while rows and not rows[-1]["column"] and not _lacks_column(rows[-1]):
        rows.pop()
    return rows


def _lacks_column(row: Mapping[str, str]) -> bool:
    """Whether a row says something of no column: left out, it would select more than was meant."""
    return not row.get("column") and bool(row.get("value") or row.get("sign"))


def where_of(conditions: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The filter as the API takes it. Raises CannotSay where one filter cannot say what the rows say."""
    named = [row for row in conditions if row.get("column")]
    return filter_of(
        (row["column"], EQUAL, None) if row["sign"] == "null" else (row["column"], row["sign"], row["value"])
        for row in named
    )


def _taken(
    screen: Screen, columns: Sequence[Mapping[str, Any]], conditions: Sequence[Mapping[str, str]]
) -> list[dict[str, str]]:
    """The rows with numbers and days as the API takes them, out of how the reader's language writes them."""
    types = {column["name"]: column["type"] for column in columns}
    return [
        {**row, "value": column_value_typed(screen.language, types.get(row["column"], ""), row["value"])}
        for row in conditions
        if row.get("column")
    ]


async def _send(screen: Screen, model: str, where: Mapping[str, Any]) -> Response:
    what: dict[str, Any] = {"where": where} if where else {"all": True}
    named = {"name": screen.given("name")} if screen.given("name") else {}
    job = await screen.api.post("/v1/jobs", {"model": model, **what, **named}, idempotency_key=screen.given("once"))
    return screen.go(f"/jobs/{job['id']}")
