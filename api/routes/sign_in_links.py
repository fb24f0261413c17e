"""Links by which a person gets from a terminal into the screens: they work once, for whoever holds them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from sqlalchemy import Connection

from api.access.dependencies import CurrentCaller, CurrentServices
from api.http.acts import record
from api.http.model_route import ModelRoute
from api.http.openapi import PROBLEMS
from api.http.problems import FORBIDDEN, Problem
from api.http.root_path import rooted
from api.schemas.base import Shape
from shared.access.sign_in import LINK_LIFE, make_link

router = APIRouter(tags=["access"], route_class=ModelRoute, responses=PROBLEMS)


class SignInLink(Shape):
    """Where a browser is to go. Whoever opens it first may do there what the API key may."""

    path: str
    hours: int


@router.post("/v1/sign-in-links", status_code=201, summary="A link into the screens")
async def sign_in_link(request: Request, services: CurrentServices, caller: CurrentCaller) -> SignInLink:
    """A link that signs one browser in, once, as the key of this call. The session ends with the key, or after 12 h."""
    key_id = caller.key_id
    if caller.person is not None:
        raise Problem(
            FORBIDDEN, "Links are for API keys: at the gateway's address you sign in as you did for this token."
        )
    if key_id is None:
        raise Problem(FORBIDDEN, "Without API keys nobody needs to sign in: open the gateway's address.")

    def make(connection: Connection) -> str:
        record(connection, request, caller, "link.create", None)  # the key that it signs in as is the line's own
        return make_link(connection, key_id)

    token = await services.quick.write(make)
    return SignInLink(path=rooted(f"/sign-in?link={token}"), hours=int(LINK_LIFE.total_seconds() // 3600))
