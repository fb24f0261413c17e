"""Models: which there are, a model's versions side by side, and how a version goes live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response

from api.server.deadline import current
from web.charts.curves import curves_chart, lines_of
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.api_refusals import told_refusal
from web.words.catalogues import N_
from web.words.figures import FIGURES
from web.words.statuses import State
from web.words.values import shown_label

routes = ScreenRoutes()

MOST_BYTES = 20_000_000  # of a file that comes by a form: it is in memory on its way; larger ones go by command line
_UPLOAD_SECONDS = 3_600.0  # the wire has limits of its own for whoever sends nothing
_BESIDE = 4  # versions that are shown side by side
_FEW = 3  # figures of the live version and of the one that would take its place
_OPEN = ("queued", "running")  # both kinds of jobs keep the version that they were accepted for
_MOST_OPEN = 100  # that are counted of each
_FORMATS = ["skops", "onnx"]
_NO_NAME = {"errors": [{"reason": "invalid_model", "about": {}}]}
_WITHOUT_CODE = (400, 404, 409, 413, 422, 503)

_LIVE = State("✓", N_("live"), "good")
_STATES = {
    "registered": State("○", N_("registered"), "waiting"),
    "checked": State("○", N_("checked"), "busy"),
    "retired": State("–", N_("retired"), "still"),
}
_TASKS = {"binary": N_("two classes"), "multiclass": N_("several classes"), "regression": N_("a number")}
_CHARTS = {
    "calibration": (N_("Calibration"), N_("score"), N_("share of positives"), True),
    "precision_recall": (N_("Precision and recall"), N_("recall"), N_("precision"), False),
    "predicted": (N_("Predicted and true"), N_("predicted"), N_("true"), True),
}


@routes.get("/models")
async def models(screen: Screen) -> Response:
    """All models by name."""
    found = await screen.api.get("/v1/models")
    return await screen.show("models.html", models=found["models"], tasks=_TASKS)


@routes.get("/models/register", role="admin")
async def offer(screen: Screen) -> Response:
    """The form by which a file becomes a version."""
    return await _offer(screen, "")


@routes.post("/models/register", role="admin", seconds=_UPLOAD_SECONDS)
async def register(screen: Screen) -> Response:
    """Send the file, and have a worker open it."""
    file = screen.form.get("file")
    if not isinstance(file, UploadFile) or not file.size:
        return await _offer(screen, screen.say(N_("Choose a file.")))
    if file.size > MOST_BYTES:
        return await _offer(screen, screen.say(N_("The file is too large for this form. Use the command line.")))
    if "/" in screen.given("name"):  # no call can say it
        return await _offer(screen, told_refusal(screen.language, _NO_NAME))
    try:
        with current().paused():
            made = await _register(screen, file)
    except ApiRefused as error:
        if error.status not in _WITHOUT_CODE:
            raise
        return await _offer(screen, told_refusal(screen.language, error.problem))
    return screen.go(f"/models/{path_part(made['version']['model'])}")


@routes.get("/models/{name}")
async def model(screen: Screen) -> Response:
    """One model: its versions, figures, curves, signature, and who made what live when."""
    found = await screen.api.get(_path(screen))
    versions = found["all_versions"]
    shown = _beside(versions, screen.query("with"))
    signature = next((version for version in versions if version["is_live"]), versions[0] if versions else None)
    return await screen.show(
        "model.html",
        model=found,
        versions=versions,
        shown=shown,
        figures=_figures(shown),
        charts=_charts(screen, shown),
        signature=signature,
        before=_before(found),
        tasks=_TASKS,
        figure_names=FIGURES,
        state_of_version=state_of_version,
        classes_of=lambda version: ", ".join(shown_label(screen.language, label) for label in version["classes"]),
    )


@routes.get("/models/{name}/promote", role="operate")
async def ask_promote(screen: Screen) -> Response:
    """What will happen, and the form that wants the name typed."""
    return await _ask(screen, "promote", "")


@routes.post("/models/{name}/promote", role="operate")
async def promote(screen: Screen) -> Response:
    """Make a version live."""
    return await _go_live(screen, "promote")


@routes.get("/models/{name}/rollback", role="operate")
async def ask_rollback(screen: Screen) -> Response:
    """The same for going back."""
    return await _ask(screen, "rollback", "")


@routes.post("/models/{name}/rollback", role="operate")
async def rollback(screen: Screen) -> Response:
    """Make the version live that was live before."""
    return await _go_live(screen, "rollback")


@routes.get("/models/{name}/withdraw", role="operate")
async def ask_withdraw(screen: Screen) -> Response:
    """The same for taking the model out of service."""
    return await _ask(screen, "withdraw", "")


@routes.post("/models/{name}/withdraw", role="operate")
async def withdraw(screen: Screen) -> Response:
    """Leave the model without a live version."""
    return await _go_live(screen, "withdraw")


def state_of_version(version: Mapping[str, Any]) -> State:
    """How a version stands, for people."""
    return _LIVE if version["is_live"] else _STATES[version["state"]]


async def _ask(screen: Screen, act: str, refusal: str) -> Response:
    found = await screen.api.get(_path(screen))
    version = _chosen(screen, found, act)
    if version is None:
        raise ApiRefused(404, {"detail": screen.say(N_("There is no such version to go to."))})
    live = _live(found)
    open_jobs = [
        job
        for status in _OPEN
        for job in (await screen.api.get("/v1/jobs", model=found["name"], status=status, limit=_MOST_OPEN))["jobs"]
    ]
    beside = [one for one in (live, version) if one is not None]
    return await screen.show(
        "model_promote.html",
        status=422 if refusal else 200,
        model=found,
        version=version,
        live=live,
        act=act,
        refusal=refusal,
        is_live_already=version["is_live"] and act != "withdraw",
        open_jobs=len(open_jobs),
        has_more=len(open_jobs) >= _MOST_OPEN,
        beside=beside,
        figures=_figures(beside)[:_FEW],
        figure_names=FIGURES,
    )


async def _go_live(screen: Screen, act: str) -> Response:
    if screen.given("confirmed") != screen.path("name"):
        return await _ask(screen, act, screen.say(N_("What was typed is not the model’s name. Nothing was done.")))
    if len(screen.given("reason")) < 3:
        return await _ask(screen, act, screen.say(N_("Say why: whoever asks later will read it.")))
    path = _path(screen)
    if act == "promote":
        number = screen.given("version")
        path += f"/versions/{path_part(number)}"
    try:
        with current().paused():  # the processes load it first
            await screen.api.post(f"{path}/{act}", {"reason": screen.given("reason")})
    except ApiRefused as error:
        if error.status not in (404, 409, 422):
            raise
        return await _ask(screen, act, told_refusal(screen.language, error.problem))
    return screen.go(f"/models/{path_part(screen.path('name'))}")


async def _offer(screen: Screen, refusal: str) -> Response:
    sources = await screen.api.get("/v1/sources")
    names = [source["name"] for source in sources["sources"]]
    wish = {name: screen.given(name) for name in ("name", "source", "positive", "threshold", "description", "allow")}
    return await screen.show(
        "model_register.html",
        status=422 if refusal else 200,
        wish=wish,
        sources=names,
        refusal=refusal,
        most=MOST_BYTES,
    )


async def _register(screen: Screen, file: UploadFile) -> Any:
    content = await file.read()
    sent = await screen.api.call(
        "POST", "/v1/uploads", content=content, headers={"content-type": "application/octet-stream"}
    )
    asked = {
        "upload_id": sent.json()["id"],
        "file_name": (file.filename or "")[:200],
        "formats": _FORMATS,
        "source": screen.given("source") or None,
        "positive": screen.given("positive") or None,
        "threshold": _number(screen),
        "description": screen.given("description") or None,
        "allow": [line.strip() for line in screen.given("allow").splitlines() if line.strip()] or None,
    }
    name = path_part(screen.given("name"))
    return await screen.api.post(
        f"/v1/models/{name}/versions", {key: value for key, value in asked.items() if value is not None}
    )


def _number(screen: Screen) -> float | None:
    given = screen.given("threshold").replace(",", ".")
    try:
        return float(given) if given else None
    except ValueError:
        raise ApiRefused(422, {"detail": screen.say(N_("The threshold is a number from 0 to 1."))}) from None


def _path(screen: Screen) -> str:
    return f"/v1/models/{path_part(screen.path('name'))}"


def _chosen(screen: Screen, found: Mapping[str, Any], act: str) -> Any:
    if act == "withdraw":
        return _live(found)
    number = _before(found) if act == "rollback" else screen.query("version") or screen.given("version")
    return next((one for one in found["all_versions"] if str(one["version"]) == str(number)), None)


def _live(found: Mapping[str, Any]) -> Any:
    return next((one for one in found["all_versions"] if one["is_live"]), None)


def _before(found: Mapping[str, Any]) -> int | None:
    """The version that a rollback would go back to, as far as the last promotions tell."""
    gone = {one["version"] for one in found["all_versions"] if one["state"] == "retired"}
    others = [one["version"] for one in found["promotions"] if one["version"] != found["live_version"]]
    return next((number for number in others if number not in gone), None)


def _beside(versions: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """The live version first, then those that the address names, else the newest."""
    live = [version for version in versions if version["is_live"]]
    named = {number for number in wanted.split(",") if number}
    rest = [one for one in versions if not one["is_live"] and (not named or str(one["version"]) in named)]
    return [*live, *rest][:_BESIDE]


def _figures(shown: list[dict[str, Any]]) -> list[str]:
    """The figures that any of them has, the known ones first."""
    names = list(dict.fromkeys(name for version in shown for name in version["metadata"].get("metrics") or {}))
    order = list(FIGURES)
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _charts(screen: Screen, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    curves = [(f"{one['model']}:{one['version']}", one["metadata"].get("curves") or {}) for one in shown]
    charts = []
    for name, (title, x_title, y_title, with_diagonal) in _CHARTS.items():
        if lines := lines_of(curves, name):
            words = {"title": screen.say(title), "x_title": screen.say(x_title), "y_title": screen.say(y_title)}
            picture = curves_chart(lines, **words, numbers=screen.language.numbers, with_diagonal=with_diagonal)
            charts.append({"name": name, **words, "lines": lines, "picture": picture})
    return charts
