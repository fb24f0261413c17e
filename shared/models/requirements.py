"""What a version needs of a worker: libraries and their releases, as pip would write them.

A text such as `lightgbm==4.*, scikit-learn==1.9.*`, in the order of names: the same needs are the same text, so that
PostgreSQL can compare them. Empty: any worker will do.
"""

from __future__ import annotations

from collections.abc import Mapping

_ANY = "*"


def write_requirements(releases: Mapping[str, str]) -> str:
    """The text for releases by library, such as {"scikit-learn": "1.9"}; "*" stands for any."""
    return ", ".join(name if release == _ANY else f"{name}=={release}.*" for name, release in sorted(releases.items()))


def read_requirements(requirements: str) -> dict[str, str]:
    """The other way round."""
    found = {}
    for item in filter(None, requirements.split(", ")):
        name, _, release = item.partition("==")
        found[name] = release.removesuffix(".*") or _ANY
    return found


def lacking(requirements: str, libraries: Mapping[str, str]) -> list[str]:
    """What of these needs is not met where these libraries are, each in words; empty where all are."""
    found = []
    for name, release in read_requirements(requirements).items():
        there = libraries.get(name)
        wanted = name if release == _ANY else f"{name} {release}"
        if there is None:
            found.append(f"{wanted} (it has none)")
        elif release != _ANY and not f"{there}.".startswith(f"{release}."):
            found.append(f"{wanted} (it has {there})")
    return found
