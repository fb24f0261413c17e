"""The places that the frame leads to, in their order. A place is shown once there is a screen for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from api.access.auth import Caller
from web.words.catalogues import N_


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the frame."""

    path: str
    title: str
    role: str = ""  # who is shown it; empty: everybody


PLACES = (
    Place("/", N_("Overview")),
    Place("/jobs", N_("Jobs"), role="read"),
    Place("/clients", N_("Clients"), role="read"),
    Place("/models", N_("Models"), role="read"),
    Place("/sources", N_("Sources"), role="admin"),
    Place("/try", N_("Try it"), role="read"),
    Place("/keys", N_("Keys"), role="admin"),
    Place("/audit", N_("Audit log"), role="admin"),
)


def places_for(caller: Caller | None, screens: Collection[str]) -> Sequence[Place]:
    """The places that there are for somebody; none where nobody is signed in."""
    if caller is None:
        return ()
    return [place for place in PLACES if place.path in screens and (not place.role or caller.may(place.role))]
