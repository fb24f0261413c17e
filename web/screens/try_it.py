"""Try it: a form made from a model's signature, its answer at once, and the same call for a terminal or a program."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from web.frame.api_calls import ApiRefused
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.answer import answer_chart
from web.screens.first_steps import first_steps
from web.screens.jobs.new import chosen_model
from web.words.api_refusals import told_flaw, told_refusal
from web.words.call_texts import call_texts
from web.words.language import Language
from web.words.typed import number_typed
from web.words.values import shown_label

routes = ScreenRoutes()

_SECONDS = 20.0
_WAIT = "wait=10"
_REFUSED = 422
_NOT_THIS_MODEL = ("forbidden", "model-unknown", "model-required", "no-live-model", "invalid-request")
_MOST_CHOICES = 60  # of a list; more are typed, with help


@dataclass(frozen=True, slots=True)
class _Choice:
    """The model that is tried, and the others."""

    names: Sequence[str] | None  # to choose from; None where the key may not see which there are: one is typed
    name: str | None  # the one that is meant, empty for the default one; None where there is none
    version: Mapping[str, Any] | None = None  # what is live of it
    refused: str = ""  # why it cannot be tried


@routes.get("/try")
async def form(screen: Screen) -> Response:
    """The form of a model, of the default one without a name."""
    return await _show(screen, await _choice(screen, screen.query("model")), {}, None, {})


@routes.post("/try", role="predict", seconds=_SECONDS)
async def ask(screen: Screen) -> Response:
    """Score what the form says, and show the answer above it."""
    choice = await _choice(screen, screen.given("model"))
    version = choice.version
    if version is None:
        return await _show(screen, choice, {}, None, {})
    given = {spec["name"]: screen.given(f"f{number}") for number, spec in enumerate(version["signature"]["features"])}
    features = {
        spec["name"]: value
        for spec in version["signature"]["features"]
        if (value := _value(screen.language, spec, given[spec["name"]])) is not None
    }
    try:
        asked = {"model": version["model"], "features": features}
        job = await screen.api.post("/v1/predict_raw", asked, prefer=_WAIT, **_repeats(screen, asked))
    except ApiRefused as refused:
        if refused.status != _REFUSED:
            raise
        return await _show(screen, choice, given, None, _wrong(screen, refused), features)
    return await _show(screen, choice, given, job, {}, features)


def _repeats(screen: Screen, asked: Mapping[str, Any]) -> dict[str, str]:
    """The Idempotency-Key: the same form with the same values is one prediction, however often a page is loaded."""
    once = screen.given("once")
    if not once:
        return {}
    return {"idempotency_key": hashlib.sha256(json.dumps([once, asked], sort_keys=True).encode()).hexdigest()}


async def _show(
    screen: Screen,
    choice: _Choice,
    given: Mapping[str, str],
    job: Mapping[str, Any] | None,
    wrong: Mapping[str, str],
    features: Mapping[str, Any] | None = None,
) -> Response:
    version = choice.version
    return await screen.show(
        "try.html",
        status=_REFUSED if wrong or choice.refused else 200,
        choice=choice,
        first=None if version or choice.refused else await first_steps(screen),
        version=version,
        fields=_fields(version, given, wrong) if version else [],
        # A field of numbers takes no blanks between thousands: it gives the form nothing then.
        has_number_fields=screen.language.code == "en",
        wrong=wrong,
        job=job,
        label=shown_label(screen.language, job["result"].get("label")) if job and job["result"] else "",
        chart=_chart(screen, job),
        calls=_calls(screen, version, _examples(version) if features is None else features) if version else [],
    )


async def _choice(screen: Screen, wanted: str) -> _Choice:
    """The model of this name, else the default one, else the first; and what its live version takes."""
    choice = await _names(screen, wanted)
    if choice.name is None:
        return choice
    try:
        version = await screen.api.get("/v1/signature", model=choice.name)
    except ApiRefused as refused:
        if refused.code not in _NOT_THIS_MODEL:
            raise
        return replace(choice, refused=told_refusal(screen.language, refused.problem))
    return replace(choice, name=version["model"], version=version)


async def _names(screen: Screen, wanted: str) -> _Choice:
    caller = screen.signed_in
    if caller.may("read"):
        live = [one for one in (await screen.api.get("/v1/models"))["models"] if one["live_version"]]
        chosen = chosen_model(live, wanted)
        return _Choice([one["name"] for one in live], chosen["name"] if chosen else None)
    if caller.models is None:
        return _Choice(None, wanted)
    names = sorted(caller.models)
    return _Choice(names, wanted if wanted in names else next(iter(names), None))


def _fields(version: Mapping[str, Any], given: Mapping[str, str], wrong: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            **spec,
            "id": f"f{number}",
            "given": given.get(spec["name"], ""),
            "wrong": wrong.get(spec["name"], ""),
            "has_list": 0 < len(spec["categories"]) <= _MOST_CHOICES,
            "has_zone": spec["dtype"].endswith("UTC]"),
        }
        for number, spec in enumerate(version["signature"]["features"])
    ]


def _examples(version: Mapping[str, Any]) -> dict[str, Any]:
    """Values that the model accepts, for the call that is shown before anything was typed."""
    return {spec["name"]: _example(spec) for spec in version["signature"]["features"]}


def _example(spec: Mapping[str, Any]) -> Any:
    if spec["categories"]:
        return _category(spec, spec["categories"][0])
    kind = spec["kind"]
    if kind == "boolean":
        return True
    if kind == "datetime":
        return "2025-01-31T12:00:00Z" if spec["dtype"].endswith("UTC]") else "2025-01-31T12:00:00"
    if kind not in ("integer", "number"):
        return "text"
    lowest, highest = spec["minimum"], spec["maximum"]
    found = lowest if lowest is not None else min(0, highest) if highest is not None else 0
    return math.ceil(found) if kind == "integer" else float(found)


def _value(language: Language, spec: Mapping[str, Any], text: str) -> Any:
    """What was typed as JSON has it; None where the field is empty. What is none of its kind stays a text: refused."""
    if not text:
        return None
    kind = spec["kind"]
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "datetime" and spec["dtype"].endswith("UTC]"):
        return f"{text}Z"
    if kind == "category":
        return _category(spec, text)
    if kind not in ("integer", "number"):
        return text
    number = number_typed(language, text)
    try:
        return int(number) if kind == "integer" else float(number.replace(",", "."))
    except ValueError:
        return text


def _category(spec: Mapping[str, Any], text: str) -> Any:
    """A category of the list as it was when the model was trained: as a number or a flag, where it was one."""
    dtype = spec["dtype"]
    if not dtype.startswith("category[") or text not in spec["categories"]:
        return text
    if dtype == "category[bool]":
        return text == "true"
    return float(text) if dtype == "category[float64]" else int(text)


def _wrong(screen: Screen, refused: ApiRefused) -> dict[str, Markup]:
    """What the API says of each field."""
    flaws: Sequence[Mapping[str, Any]] = refused.problem.get("errors") or []
    found = {_name_in(flaw["pointer"]): told_flaw(screen.language, flaw) for flaw in flaws}
    return found or {"": told_refusal(screen.language, refused.problem)}


def _name_in(pointer: str) -> str:
    """The feature that a JSON pointer leads to."""
    return pointer.removeprefix("/features/").replace("~1", "/").replace("~0", "~")


def _chart(screen: Screen, job: Mapping[str, Any] | None) -> Markup:
    result = (job or {}).get("result")
    return answer_chart(screen, result) if result else Markup("")


def _calls(screen: Screen, version: Mapping[str, Any], features: Mapping[str, Any]) -> list[tuple[str, str]]:
    url = screen.address("/v1/predict_raw")
    body = json.dumps({"model": version["model"], "features": features}, ensure_ascii=False)
    return call_texts(url, body)
