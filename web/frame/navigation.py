"""The places that the frame leads to, in their order. A place is shown once there is a screen for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from api.access.caller import Caller
from web.words.catalogues import N_


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the frame."""

    path: str
    title: str
    roles: tuple[str, ...] = ()  # who is shown it: whoever has one of them; empty: everybody


PLACES = (
    Place("/", N_("Overview")),
    Place("/jobs", N_("Jobs"), roles=("read",)),
    Place("/clients", N_("Clients"), roles=("read",)),
    Place("/models", N_("Models"), roles=("read",)),
    Place("/sources", N_("Sources"), roles=("admin",)),
    Place("/try", N_("Try it"), roles=("predict",)),
    Place("/keys", N_("Keys"), roles=("admin",)),
    Place("/kept", N_("Retention"), roles=("admin",)),
    Place("/audit", N_("Audit log"), roles=("admin",)),
)


def places_for(caller: Caller | None, screens: Collection[str]) -> Sequence[Place]:
    """The places that there are for somebody; none where nobody is signed in."""
    if caller is None:
        return ()
    return [place for place in PLACES if place.path in screens and (not place.roles or caller.may(*place.roles))]
