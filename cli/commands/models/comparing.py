"""`predictq models diff` and `environment`: two versions side by side, and the libraries that one was made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.commands.models.registry import ModelName, model_path, named_model
from cli.errors import UsageProblem
from cli.output.console import AsJson, plain_text, remark, say, say_json, say_table
from shared.models.requirements import read_requirements

Version = Mapping[str, Any]
_ABSENT = "–"
NOTHING: Mapping[str, str] = MappingProxyType({})
_NOT_STATED = "not stated"  # as `model.stated` writes it; that module is slow to import
_FACTS = ("task", "classes", "threshold", "source", "file_format", "requirements", "sha256", "code_sha256", "digest")
_OF_FEATURES = ("kind", "dtype", "missing", "nullable", "categories", "minimum", "maximum")


def diff(
    first: Annotated[str, typer.Argument(help="A version: churn:2. A name alone: what is live, else the newest.")],
    second: Annotated[str, typer.Argument(help="The version to compare it with.")],
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Show in what two versions differ: task, threshold, source, features, figures, libraries."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        one, other = _read(client, first), _read(client, second)
    rows = list(differences(one, other))
    if as_json:
        say_json([{"what": what, "first": left, "second": right} for what, left, right in rows])
        return
    headers = ("", f"{one['model']}:{one['version']}", f"{other['model']}:{other['version']}")
    say_table(headers, [(what, _text(left), _text(right)) for what, left, right in rows])
    if not rows:
        say("no difference")


def environment(model: ModelName, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Write the libraries that a version needs as a requirements.txt: those that made it, if its file states them.

    Of others that it needs the release that stood where it was registered: boosters, onnxruntime, what --code imports.
    """
    with api_client(api_url, api_key, quiet=True) as client:
        version = _read(client, model)
    stated = version["metadata"]["library_versions"]
    needed = read_requirements(version["requirements"])
    if as_json:
        say_json({**{name: _pinned(release) for name, release in needed.items()}, **_known(stated, needed)})
        return
    say(plain_text(f"# {version['model']}:{version['version']}, {version['file_format']}, SHA-256 {version['sha256']}"))
    for line in requirement_lines(stated, needed):
        say(plain_text(line))
    missing = sorted(name for name, found in _known(stated, needed).items() if found == _NOT_STATED)
    if missing:
        remark(plain_text(f"The file does not state its {', '.join(missing)}: they are left as comments."))


def requirement_lines(stated: Mapping[str, str], needed: Mapping[str, str] = NOTHING) -> Iterator[str]:
    """A line for each library: pinned where one version is stated or a release needed, else a comment that says why.

    `needed` are releases by library: see shared.models.requirements.
    """
    for name, version in sorted({**needed, **_known(stated, needed)}.items()):
        if name not in stated or (name in needed and not _is_one(stated[name])):
            yield name if needed[name] == "*" else f"{name}=={_pinned(needed[name])}"
        elif name == "python":
            yield f"# Python {version}"
        elif version == _NOT_STATED:
            yield f"# {name}: its version is not stated by the file"
        elif "," in version:
            yield f"# {name}: parts of the file were made by {version}"
        else:
            yield f"{name}=={version}"


def _known(stated: Mapping[str, str], needed: Mapping[str, str]) -> dict[str, str]:
    """What the file states, without what it leaves open where a release is needed."""
    return {name: version for name, version in stated.items() if name not in needed or _is_one(version)}


def _is_one(version: str) -> bool:
    return version != _NOT_STATED and "," not in version


def _pinned(release: str) -> str:
    return release if release == "*" else f"{release}.*"


def differences(one: Version, other: Version) -> Iterator[tuple[str, Any, Any]]:
    """(what, of the first, of the second) for all that is unlike; `–` where one has none of it."""
    yield from _unlike("", {name: one[name] for name in _FACTS}, {name: other[name] for name in _FACTS})
    mine, others = _features(one), _features(other)
    for name in [*mine, *(name for name in others if name not in mine)]:
        if name in mine and name in others:
            yield from _unlike(f"feature {name}: ", mine[name], others[name])
        else:
            yield f"feature {name}", _presence(mine.get(name)), _presence(others.get(name))
    if list(mine) != list(others) and set(mine) == set(others):
        yield "order of the features", list(mine), list(others)
    figures = [
        {name: f"{value['mean']:.4g}" for name, value in version["metadata"].get("metrics", {}).items()}
        for version in (one, other)
    ]
    yield from _unlike("figure ", *figures)
    yield from _unlike("library ", *(version["metadata"]["library_versions"] for version in (one, other)))


def _unlike(prefix: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in {**one, **other}:
        left, right = one.get(name, _ABSENT), other.get(name, _ABSENT)
        if left != right:
            yield f"{prefix}{name}", left, right


def _features(version: Version) -> dict[str, dict[str, Any]]:
    features = version["signature"]["features"]
    return {feature["name"]: {name: feature.get(name) for name in _OF_FEATURES} for feature in features}


def _presence(feature: Mapping[str, Any] | None) -> str:
    return _ABSENT if feature is None else str(feature["kind"])


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _read(client: Any, text: str) -> Version:
    """The version that is named, or of a name what is live, else what is newest."""
    name, number = named_model(text)
    if number is None:
        versions = client.call("GET", model_path(name, None))["all_versions"]
        if not versions:
            raise UsageProblem(f"{name} has no version yet")
        number = next((version["version"] for version in versions if version["is_live"]), versions[0]["version"])
    found: Version = client.call("GET", model_path(name, number))
    return found
