"""Choosing a media type by the Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from api.http.problems import NOT_ACCEPTABLE, Problem

_MOST = 50  # media types that are looked at


def choose(accept: str, offers: Sequence[str], elsewhere: str = "") -> str:
    """The offer that the caller likes best; among equals the first.

    Raises Problem 406, which ends in `elsewhere`: where there is more.
    """
    wishes = [_parse(item) for item in accept.split(",", _MOST)[:_MOST] if item.strip()] or [("*/*", 1.0)]
    best, best_weight = "", 0.0
    for offer in offers:
        weight = _weight(offer, wishes)
        if weight > best_weight:
            best, best_weight = offer, weight
    if not best:
        raise Problem(NOT_ACCEPTABLE, f"This call can answer with {', '.join(offers)}. {elsewhere}".rstrip())
    return best


def _parse(item: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in item.split(";"))
    weight = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                weight = float(parameter[2:])
            except ValueError:
                weight = 0.0
    return media_range, weight


def _weight(offer: str, wishes: Sequence[tuple[str, float]]) -> float:
    """The weight of the most specific range that holds the offer."""
    kind = offer.partition("/")[0] + "/*"
    for media_range in (offer, kind, "*/*"):
        for wish, weight in wishes:
            if wish == media_range:
                return weight
    return 0.0
