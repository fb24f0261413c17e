"""Elements of SVG. Places across are in per cent and lengths down in pixels, so that texts keep their size."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, content: str = "", /, **attributes: object) -> Markup:
    """`<name …>content</name>`; `class_` is class, an underscore a hyphen. Content that is no markup is escaped."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), Markup(given), content)  # noqa: S704 - escaped above


def group(parts: Iterable[str]) -> Markup:
    """These elements one after the other."""
    return Markup("").join(parts)


def drawing(parts: Iterable[str], *, height: int, label: str, class_: str = "") -> Markup:
    """A chart as wide as its place. `label` is what a screen reader says of it; its table stands beside."""
    name = f"chart {class_}".strip()
    return element("svg", group(parts), class_=name, width="100%", height=height, role="img", aria_label=label)


def stretched(parts: Iterable[str], wide: int, tall: int, **attributes: object) -> Markup:
    """A drawing within one, `wide` by `tall` of its own units, that takes the place it is given."""
    box = {"viewBox": f"0 0 {wide} {tall}", "preserveAspectRatio": "none"}
    return element("svg", group(parts), width="100%", **box, **attributes)


def percent(value: float) -> str:
    """A place across."""
    return f"{value:.3f}%"
