"""API keys, for administrators: which there are, making one, replacing and revoking one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from starlette.responses import Response

from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.words.api_refusals import told_refusal
from web.words.catalogues import N_
from web.words.statuses import State
from web.words.typed import moment_typed

routes = ScreenRoutes()

_ROLES = {
    "read": N_("see jobs and answers"),
    "predict": N_("ask for single predictions"),
    "bulk": N_("ask for jobs of many rows"),
    "features": N_("see clients’ features"),
    "operate": N_("pause, promote, cancel jobs of others"),
    "admin": N_("everything, keys and erasure included"),
}
_ROWS = 100
_PLAIN = ("read", "predict", "bulk")
_DAY = 86_400
_OVERLAPS = {
    "0": N_("not at all"),
    str(_DAY): N_("for a day"),
    str(7 * _DAY): N_("for a week"),
    str(30 * _DAY): N_("for 30 days"),
}
_MADE_BEFORE = N_(
    "This form was sent before: the key below was made then, and cannot be shown again. If nobody copied it, "
    "replace it."
)
_REPLACED_BEFORE = N_(
    "The key %(prefix)s… was replaced before, by the one below, which cannot be shown again. If nobody copied it, "
    "replace it."
)
_ACTIVE = State("✓", N_("active"), "good")
_EXPIRED = State("○", N_("expired"), "still")
_REVOKED = State("✕", N_("revoked"), "still")


@dataclass(frozen=True, slots=True)
class Wish:
    """A new key as the form asks for it."""

    owner: str = ""
    roles: tuple[str, ...] = _PLAIN
    models: tuple[str, ...] = ()
    expires: str = ""
    note: str = ""


@routes.get("/keys", role="admin")
async def keys(screen: Screen) -> Response:
    """All keys, newest first."""
    found = await screen.api.get("/v1/keys", limit=_ROWS, cursor=screen.query("cursor"))
    return await screen.show(
        "keys.html",
        keys=[{**key, "state": _state(key)} for key in found["keys"]],
        following=found["next"],
        is_first=not screen.query("cursor"),
    )


@routes.get("/keys/new", role="admin")
async def new_key(screen: Screen) -> Response:
    """The form."""
    return await _form(screen, Wish(), "")


@routes.post("/keys/new", role="admin")
async def make_key(screen: Screen) -> Response:
    """Make a key, and show it this once."""
    wish = Wish(
        owner=screen.given("owner"),
        roles=tuple(str(role) for role in screen.form.getlist("role")),
        models=tuple(str(name) for name in screen.form.getlist("model")),
        expires=screen.given("expires"),
        note=screen.given("note"),
    )
    try:
        order = _order(screen, wish)
        if (earlier := await _made_since(screen, screen.given("newest"), order)) is not None:
            return await _one(screen, earlier, notice=screen.say(_MADE_BEFORE))
        made = await screen.api.post("/v1/keys", order)
    except (ApiRefused, ValueError) as error:
        if isinstance(error, ApiRefused) and error.status != 422:
            raise
        refusal = told_refusal(screen.language, error.problem) if isinstance(error, ApiRefused) else str(error)
        return await _form(screen, wish, refusal)
    return await screen.show("key_made.html", made=made)


@routes.get("/keys/{prefix}", role="admin")
async def key(screen: Screen) -> Response:
    """One key, and what can be done with it."""
    return await _one(screen, screen.path("prefix"))


@routes.post("/keys/{prefix}/rotate", role="admin")
async def rotate(screen: Screen) -> Response:
    """Make the key that takes its place, and show it this once."""
    overlap = screen.given("overlap")
    order = {"overlap_seconds": float(overlap)} if overlap in _OVERLAPS else {}
    prefix = screen.path("prefix")
    try:
        made = await screen.api.post(f"/v1/keys/{path_part(prefix)}/rotate", order)
    except ApiRefused as refused:
        successor = (await _find(screen, prefix) or {}).get("rotated_to") if refused.code == "key-unknown" else None
        if successor is None:
            raise
        return await _one(screen, successor, notice=screen.say(_REPLACED_BEFORE, prefix=prefix))
    return await screen.show("key_made.html", made=made)


@routes.post("/keys/{prefix}/revoke", role="admin")
async def revoke(screen: Screen) -> Response:
    """End a key whose beginning was typed."""
    prefix = screen.path("prefix")
    if screen.given("confirmed") != prefix:
        words = N_("What was typed is not how the key begins. Nothing was done.")
        return await _one(screen, prefix, refusal=screen.say(words))
    await screen.api.post(f"/v1/keys/{path_part(prefix)}/revoke")
    return screen.go("/keys")


async def _form(screen: Screen, wish: Wish, refusal: str) -> Response:
    models = await screen.api.get("/v1/models")
    newest = (await screen.api.get("/v1/keys", limit=1))["keys"]
    return await screen.show(
        "key_new.html",
        status=422 if refusal else 200,
        wish=wish,
        refusal=refusal,
        roles=_ROLES,
        models=[model["name"] for model in models["models"]],
        newest=newest[0]["prefix"] if newest else "",
    )


async def _one(screen: Screen, prefix: str, *, refusal: str = "", notice: str = "") -> Response:
    """A key: with the `refusal` of a form, or with the `notice` that a form was sent before."""
    shown = await _find(screen, prefix)
    if shown is None:
        raise ApiRefused(404, {"detail": f"There is no key {prefix[:40]!r}."})
    return await screen.show(
        "key.html",
        status=422 if refusal else 409 if notice else 200,
        key={**shown, "state": _state(shown)},
        refusal=refusal,
        notice=notice,
        overlaps=_OVERLAPS,
    )


async def _find(screen: Screen, prefix: str) -> Mapping[str, Any] | None:
    found = await screen.api.get("/v1/keys", prefix=prefix)
    return next((key for key in found["keys"] if key["prefix"] == prefix), None)


async def _made_since(screen: Screen, newest: str, order: Mapping[str, Any]) -> str | None:
    """How the key begins that was made as `order` wants one after `newest` was the newest: the form was sent before."""
    if not newest:
        return None
    for key in (await screen.api.get("/v1/keys", limit=_ROWS))["keys"]:
        if key["prefix"] == newest:
            return None
        if _is_as_wanted(key, order):
            return str(key["prefix"])
    return None


def _is_as_wanted(key: Mapping[str, Any], order: Mapping[str, Any]) -> bool:
    ends, wanted_end = key["expires_at"], order.get("expires_at")
    return (
        key["owner"] == order.get("owner")
        and set(key["roles"]) == set(order["roles"])
        and set(key["models"] or ()) == set(order.get("models", ()))
        and (key["note"] or "") == order.get("note", "")
        and (ends and datetime.fromisoformat(ends)) == (wanted_end and datetime.fromisoformat(wanted_end))
    )


def _order(screen: Screen, wish: Wish) -> dict[str, Any]:
    """The body of the call. Raises ValueError where the date is none."""
    given = {"owner": wish.owner, "models": list(wish.models), "note": wish.note}
    order: dict[str, Any] = {name: value for name, value in given.items() if value}
    order["roles"] = list(wish.roles)  # none is refused, and not what the API gives to whoever says nothing
    if wish.expires:
        try:
            day = datetime.fromisoformat(wish.expires).date()
        except ValueError:
            raise ValueError(screen.say(N_("Give the last day as a date."))) from None
        order["expires_at"] = moment_typed(datetime.combine(day, time.max, screen.language.zone))
    return order


def _state(key: Mapping[str, Any]) -> State:
    if key["revoked_at"]:
        return _REVOKED
    ends = key["expires_at"]
    return _EXPIRED if ends and datetime.fromisoformat(ends) <= datetime.now(UTC) else _ACTIVE
