"""Routes are ready before the first call."""

from __future__ import annotations

from starlette.routing import Mount, Route

from api.server.app import create_app
from shared.config import Settings


def test_no_call_builds_a_route() -> None:
    """What `include_router` adds builds its routes when a call first passes by, while the event loop stands still."""
    app = create_app(Settings(database_url="postgresql://nobody@localhost/none", redis_url="redis://localhost:1"))
    kinds = {type(route) for route in app.router.routes}
    assert all(issubclass(kind, Route | Mount) for kind in kinds), kinds
    assert {route.path for route in app.router.routes if isinstance(route, Route)} >= {"/v1/jobs", "/jobs", "/health"}
