"""A new job of a file: sent, looked at by a worker, its columns mapped, and then scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response

from shared.uploads.refusals import MOST_FAULTS
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.jobs.new import show_form
from web.words.api_refusals import told_flaw, told_refusal

routes = ScreenRoutes()

_UPLOAD_SECONDS = 3_600.0  # the wire has limits of its own for whoever sends nothing
_LOOK_SECONDS = 60.0
_OPTIONS = ("sheet", "separator", "decimal", "dates", "encoding")
_REFUSED = 422
_TOO_LARGE = 413


@routes.post("/jobs/new/file", role="bulk", seconds=_UPLOAD_SECONDS)
async def send_file(screen: Screen) -> Response:
    """Keep the file, and go on to what is understood of it."""
    file = screen.form.get("file")
    model = screen.given("model")
    if not isinstance(file, UploadFile) or not file.size:
        wrong = screen.say("Choose a file first.")
        if isinstance(file, UploadFile) and file.filename:
            wrong = screen.say("The file “%(name)s” is empty.", name=file.filename[:200])
        return await show_form(screen, model, file_name=screen.given("name"), file_wrong=wrong)
    headers = {"content-type": file.content_type or "application/octet-stream"}
    try:
        sent = await screen.api.call("POST", "/v1/uploads", content=file.file, headers=headers)
    except ApiRefused as refused:
        if refused.status != _TOO_LARGE:
            raise
        return await show_form(
            screen, model, file_name=screen.given("name"), file_wrong=told_refusal(screen.language, refused.problem)
        )
    asked = {"model": model, "name": screen.given("name") or (file.filename or "")[:200]}
    if screen.given("features"):
        asked["features"] = "1"
    return screen.go_with(f"/jobs/new/file/{sent.json()['id']}", asked)


@routes.get("/jobs/new/file/{upload_id}", role="bulk", seconds=_LOOK_SECONDS)
async def look(screen: Screen) -> Response:
    """What a worker understood of the file."""
    order = {"features": bool(screen.query("features"))}
    return await _show(screen, screen.query("model"), screen.query("name"), order)


@routes.post("/jobs/new/file/{upload_id}", role="bulk", seconds=_LOOK_SECONDS)
async def score(screen: Screen) -> Response:
    """Look again with what was corrected, or send the job."""
    order = _order(screen)
    model, name = screen.given("model"), screen.given("name")
    if screen.given("act") != "send":
        return await _show(screen, model, name, order)
    body = {"upload": screen.path("upload_id"), "model": model, **order, **({"name": name} if name else {})}
    try:
        job = await screen.api.post("/v1/jobs", body, idempotency_key=screen.given("once"))
    except ApiRefused as refused:
        if refused.status != _REFUSED:
            raise
        return await _show(screen, model, name, order, wrong=told_refusal(screen.language, refused.problem))
    return screen.go(f"/jobs/{job['id']}")


def _order(screen: Screen) -> dict[str, Any]:
    """What the form says of the file, as the API takes it."""
    said = {option: given for option in _OPTIONS if (given := screen.given(option))}
    columns = {}
    number = 0
    while f"wanted{number}" in screen.form:
        if column := screen.given(f"column{number}"):
            columns[screen.given(f"wanted{number}")] = column
        number += 1
    return {"features": bool(screen.given("features")), "columns": columns, **said}


async def _show(screen: Screen, model: str, name: str, order: Mapping[str, Any], wrong: str = "") -> Response:
    found = await screen.api.post(f"/v1/uploads/{path_part(screen.path('upload_id'))}/look", {"model": model, **order})
    used = {column["stands_for"]: column["name"] for column in found["columns"] if column["stands_for"]}
    keys = [column["name"] for column in found["columns"] if column["use"] == "key"]
    chosen = {**used, **dict(zip(found["key"], keys, strict=False)), **order.get("columns", {})}
    wanted = [(key, "key") for key in found["key"]] + [(feature, "feature") for feature in found["features"]]
    columns = [{**column, "examples": list(dict.fromkeys(column["examples"]))[:1]} for column in found["columns"]]
    return await screen.show(
        "new_table_job.html",
        status=_REFUSED if wrong else 200,
        found={
            **found,
            "problems": [_problem(screen, problem) for problem in found["problems"]],
            "columns": columns,
        },
        order={option: order.get(option, "") for option in (*_OPTIONS, "features")},
        most_problems=MOST_FAULTS,  # where there are so many nobody has counted on
        wanted=[{"name": one, "use": use, "column": chosen.get(one, "")} for one, use in wanted],
        model=found["model"],
        name=name,
        wrong=wrong,
        upload_id=screen.path("upload_id"),
        once=screen.once(),
    )


def _problem(screen: Screen, problem: Mapping[str, Any]) -> dict[str, Any]:
    """What is wrong, without the names of the API's fields where the form has one for it."""
    words, _, said = str(problem["detail"]).partition(". Say which ")
    told = {name: value for name, value in problem.items() if value is not None}
    return {
        **problem,
        "detail": told_flaw(screen.language, {**told, "detail": words}),
        "is_open": bool(said) or problem["code"] in ("missing_column", "open_type"),
    }
