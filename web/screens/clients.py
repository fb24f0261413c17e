"""One client, found by key, shown under a keyed hash: all answers through time, and what the source has of her now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from web.charts.lines import Axis, Series, line_charts
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.answer import feature_rows, version_of
from web.screens.client_place import client_path, place
from web.screens.first_steps import first_steps
from web.words.api_refusals import told_refusal
from web.words.values import is_same, shown_client, shown_label, shown_value

routes = ScreenRoutes()

_ROWS = 50  # of a screen
_MOST_MEANT = 50  # clients of one key, each in a source of its own
_DRAWN = 200  # answers in the chart
_SECONDS = 20.0  # a worker is asked what the source has now
_NOT_A_KEY = 422
_NO_WORKER = 503
_NOT_FOUND = 404


@routes.get("/clients")
async def clients(screen: Screen) -> Response:
    """The form that finds a client."""
    return await _show_form(screen, await _sources(screen))


@routes.post("/clients")
async def find(screen: Screen) -> Response:
    """Go to a client's page, whose address has her hash and not her key."""
    key = screen.given("key")
    sources = await _sources(screen)
    wanted = [screen.given("source")] if screen.given("source") in sources else sources
    found = await _show_known(screen, key, wanted)
    return found or await _show_form(screen, sources, key)


async def _show_form(screen: Screen, sources: Sequence[str | None], missing: str = "") -> Response:
    """The form; with the key of which nothing was found."""
    first = None if sources else await first_steps(screen)
    return await screen.show(
        "clients.html", status=404 if missing else 200, sources=sources, key=missing, missing=missing, first=first
    )


async def show_client_of_key(screen: Screen, key: str) -> Response | None:
    """Go to the client of this key, or ask which of several is meant; None where nobody has it."""
    return await _show_known(screen, key, await _sources(screen))


async def _show_known(screen: Screen, key: str, sources: Sequence[str | None]) -> Response | None:
    found = [answers for source in sources if (answers := await _answers_of(screen, source, key)) is not None]
    answered = [answers for answers in found if answers["answers"]]
    if len(answered) == 1:
        return screen.go(client_path(answered[0]))
    if not answered:
        return None
    return screen.go("/clients/which?" + urlencode([("of", _name(answers)) for answers in answered]))


@routes.get("/clients/which")
async def which(screen: Screen) -> Response:
    """Of the clients that the address names by their hashes and sources, as one key has them: which is meant?"""
    found = []
    for named in screen.request.query_params.getlist("of")[:_MOST_MEANT]:
        client_hash, slash, source = named.partition("/")
        asked = {**place(source if slash else None), "client_hash": client_hash, "limit": 1}
        try:
            found.append(await screen.api.post("/v1/clients/answers", asked))
        except ApiRefused as refused:  # one that has gone since, or whose only answer is still awaited
            if refused.status != _NOT_FOUND:
                raise
    if not found:
        raise ApiRefused(_NOT_FOUND, {})
    return await screen.show("client_choice.html", found=found, path=client_path)


def _name(answers: Mapping[str, Any]) -> str:
    """A client in an address: her hash, and her source where she has one."""
    source = answers["source"]
    return str(answers["client_hash"]) + ("" if source is None else f"/{source}")


@routes.get("/clients/{client_hash}/{source:path}", seconds=_SECONDS)
async def client(screen: Screen) -> Response:
    """All answers of one client; with `?compare=` one of them beside what the source has now."""
    return await _show(screen, screen.path("source"))


@routes.get("/clients/{client_hash}")
async def client_without_source(screen: Screen) -> Response:
    """The same of a client whom callers named beside her features, to models without a source."""
    return await _show(screen, None)


async def _show(screen: Screen, source: str | None) -> Response:
    asked = {**place(source), "client_hash": screen.path("client_hash")}
    cursor = {"cursor": screen.query("cursor")} if screen.query("cursor") else {}
    found = await screen.api.post("/v1/clients/answers", asked | cursor | {"limit": _DRAWN})
    answers = found["answers"]
    newest = _newest(answers)
    following = answers[_ROWS - 1]["request_id"] if len(answers) > _ROWS else found["next"]
    return await screen.show(
        "client.html",
        found=found,
        answers=answers[:_ROWS],
        following=following,
        is_first=not cursor,
        kept=cursor,
        client=shown_client(found["client_id"]),
        label=lambda label: shown_label(screen.language, label),
        charts=await screen.beside_the_loop(lambda: charts_of(screen, answers)),
        compared=await _compare(screen, asked["client_hash"], screen.query("compare") or newest),
        newest=newest,
    )


async def _sources(screen: Screen) -> list[str | None]:
    """The sources of the models that the caller may use, and at last None where one of them has none."""
    found = {model["source"] for model in (await screen.api.get("/v1/models"))["models"]}
    return [*sorted(found - {None}), *found & {None}]


async def _answers_of(screen: Screen, source: str | None, key: str) -> dict[str, Any] | None:
    """The answers of the client of this key; None where the source cannot have such a key."""
    for client_id in _readings(key):
        try:
            asked = {**place(source), "client_id": client_id, "limit": 1}
            found: dict[str, Any] = await screen.api.post("/v1/clients/answers", asked)
        except ApiRefused as refused:
            if refused.status != _NOT_A_KEY:
                raise
        else:
            return found
    return None


def _readings(key: str) -> list[Any]:
    """What a person may mean by a key: the text, and of several columns the JSON object."""
    if not key:
        return []
    if key.startswith("{"):
        try:
            return [orjson.loads(key)]
        except ValueError:
            return [key]
    return [key]


def _newest(answers: Sequence[Mapping[str, Any]]) -> str:
    return next((row["request_id"] for row in answers if row["state"] == "answered" and row["error"] is None), "")


def charts_of(screen: Screen, answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One chart for each thing that is measured: a threshold says nothing of another kind of probability."""
    probabilities = _groups(screen, answers, "probability")
    by_threshold = [one for one in probabilities if one.threshold is not None]
    of_likeliest = [one for one in probabilities if one.threshold is None]
    wanted = [
        (screen.say("Probability by model"), by_threshold, 0.0, 1.0),
        (screen.say("Probability of the likeliest class, by model"), of_likeliest, 0.0, 1.0),
        *(
            (screen.say("Value of %(model)s", model=one.name), [one], None, None)
            for one in _groups(screen, answers, "value")
        ),
    ]
    return [_chart(screen, *one) for one in wanted if any(len(line.points) > 1 for line in one[1])]


def _chart(
    screen: Screen, title: str, lines: Sequence[Series], low: float | None, high: float | None
) -> dict[str, Any]:
    numbers, moments = screen.language.numbers, screen.language.moments
    axis = Axis(
        title,
        lambda number: numbers.plain(number, 3),
        lambda at, step, is_first: moments.mark(at, step, is_first=is_first),
        low,
        high,
    )
    told = [(one.name, _threshold_of(screen, one)) for one in lines]
    return {"title": title, "chart": line_charts(lines, axis), "lines": told}


def _groups(screen: Screen, answers: Sequence[Mapping[str, Any]], field: str) -> list[Series]:
    points: dict[str, list[tuple[Any, float]]] = {}
    thresholds: dict[str, float | None] = {}  # of each model that of its newest answer
    for row in reversed(answers):
        if row[field] is not None and row["answered_at"]:
            at = screen.time(row["answered_at"]).astimezone(screen.language.zone)
            points.setdefault(row["model"], []).append((at, row[field]))
            thresholds[row["model"]] = row["threshold"]
    return [Series(name, sorted(found), thresholds[name]) for name, found in sorted(points.items())]


def _threshold_of(screen: Screen, one: Series) -> str:
    """What the dashed line of a model stands for; empty where it has none."""
    if one.threshold is None:
        return ""
    return screen.say("threshold %(number)s, dashed", number=screen.language.numbers.exact(one.threshold))


async def _compare(screen: Screen, client_hash: str, request_id: str) -> dict[str, Any] | None:
    """The features of one answer as they were scored, beside those in the source now; None where there is none."""
    if not request_id or not screen.signed_in.may("features"):
        return None
    trace = await screen.api.get(f"/v1/predictions/{path_part(request_id)}")
    if trace["features"] is None:
        return None
    version = await version_of(screen, trace)
    features = feature_rows(screen, version, trace["features"], not_learnt=trace["unknown_categories"] or ())
    if version["source"] is None:
        others, why = None, screen.say("The model has no source: callers bring the features.")
    else:
        others, why = await _now(screen, {"client_hash": client_hash, "model": trace["model"]}, features)
    changed = sum(not other["same"] for other in others or ())
    return {"trace": trace, "features": features, "others": others, "why": why, "changed": changed}


async def _now(
    screen: Screen, asked: Mapping[str, Any], features: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]] | None, str]:
    """What the source has now of these features; or why that is not known."""
    try:
        now = await screen.api.post("/v1/clients/features", asked)
    except ApiRefused as refused:
        if refused.status == _NOT_FOUND:  # her hash is of the source that the model read when it answered
            return None, screen.say("The model reads another source now.")
        if refused.status not in (_NOT_A_KEY, _NO_WORKER):
            raise
        return None, told_refusal(screen.language, refused.problem)
    if not now["found"]:
        return None, screen.say("The source has no client of this key any more.")
    rows = []
    for spec in features:
        value = now["features"].get(spec["name"])
        rows.append({"shown": shown_value(screen.language, spec, value), "same": is_same(spec, spec["value"], value)})
    return rows, ""
