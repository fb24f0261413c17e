"""Answers as Excel, Parquet or Arrow: a worker writes the file, and the browser waits for it."""

from __future__ import annotations

from starlette.responses import Response

from api.http.root_path import rooted
from web.frame.api_calls import ApiRefused, known_uuid
from web.frame.passing import PassedOn
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen

routes = ScreenRoutes()


@routes.post("/jobs/{job_id}/files")
async def ask(screen: Screen) -> Response:
    """Have the file written, and go where it will be."""
    job_id = known_uuid(screen.path("job_id"))
    answer = await screen.api.call("POST", f"/v1/jobs/{job_id}/exports", parameters={"format": screen.given("format")})
    return screen.go(f"/jobs/{job_id}/files/{answer.json()['id']}")


@routes.get("/jobs/{job_id}/files/{export_id}")
async def fetch(screen: Screen) -> Response:
    """The file with `?get=1`; before, a page that looks again by itself, and one that begins the download and stays."""
    job_id, export_id = known_uuid(screen.path("job_id")), known_uuid(screen.path("export_id"))
    path = f"/v1/exports/{export_id}"
    try:
        await screen.api.call("HEAD", path)
    except ApiRefused as error:
        if error.code != "export-not-ready" and error.status != 409:
            raise
        return await screen.show("export_wait.html", job_id=job_id, file="")
    if screen.query("get"):
        return PassedOn(screen, path)
    file = rooted(f"/jobs/{job_id}/files/{export_id}?get=1")
    response = await screen.show("export_wait.html", job_id=job_id, file=file)
    response.headers["Refresh"] = f"0; url={file}"
    return response
