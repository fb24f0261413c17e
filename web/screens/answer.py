"""One answer, for a person who has to defend it: what was said, of which values, by which model, and how."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from web.charts.threshold import threshold_chart
from web.frame.api_calls import ApiRefused, path_part
from web.frame.routing import ScreenRoutes
from web.frame.screen import Screen
from web.screens.client_place import client_path, place
from web.words.figures import FIGURES
from web.words.values import shown_label, shown_value

routes = ScreenRoutes()

_GONE = 410
_FILE_NAME = re.compile(r"\S+\.(joblib|pkl|pickle|skops|onnx)", re.IGNORECASE)


@routes.get("/answers/{request_id}")
async def answer(screen: Screen) -> Response:
    """The trace of an answer. Where its client was erased, a page that says so."""
    request_id = screen.path("request_id")
    try:
        trace = await screen.api.get(f"/v1/predictions/{path_part(request_id)}")
    except ApiRefused as refused:
        if refused.status != _GONE:
            raise
        return await screen.show("answer_erased.html", status=_GONE, request_id=request_id)
    version = await version_of(screen, trace)
    return await screen.show(
        "answer.html",
        trace=trace,
        version=version,
        title=_own_title(version),
        label=shown_label(screen.language, trace["label"]),
        chart=answer_chart(screen, trace),
        features=feature_rows(screen, version, trace["features"], not_learnt=trace["unknown_categories"] or ()),
        link=screen.address(f"/answers/{path_part(request_id)}"),
        now=screen.now(),
        figure_names=FIGURES,
        client_path=f"/answers/{request_id}/client",
    )


@routes.post("/answers/{request_id}/client")
async def client(screen: Screen) -> Response:
    """From an answer to all others of its client, whose key stands in no address."""
    trace = await screen.api.get(f"/v1/predictions/{path_part(screen.path('request_id'))}")
    version = await version_of(screen, trace)
    asked = {**place(version["source"]), "client_id": trace["client_id"], "limit": 1}
    return screen.go(client_path(await screen.api.post("/v1/clients/answers", asked)))


def _own_title(version: Mapping[str, Any]) -> str:
    """What its maker called the version; empty where that is the model's name, or only that of a file."""
    title = str(version["title"])
    return "" if title == version["model"] or _FILE_NAME.fullmatch(title) else title


async def version_of(screen: Screen, trace: Mapping[str, Any]) -> dict[str, Any]:
    """The version that has made an answer."""
    found: dict[str, Any] = await screen.api.get(
        f"/v1/models/{path_part(trace['model'])}/versions/{trace['model_version']}"
    )
    return found


def answer_chart(screen: Screen, answer: Mapping[str, Any]) -> Markup:
    """The answer beside its threshold; nothing where there is none."""
    if answer.get("threshold") is None or answer.get("probability") is None:
        return Markup("")
    numbers = screen.language.numbers
    values = {"value": numbers.exact(answer["probability"]), "threshold": numbers.exact(answer["threshold"])}
    whole = screen.say("Probability %(value)s, threshold %(threshold)s", **values)
    words = (whole, screen.say("threshold"), screen.say("probability"))
    return threshold_chart(answer["probability"], answer["threshold"], words)


def feature_rows(
    screen: Screen,
    version: Mapping[str, Any],
    features: Mapping[str, Any] | None,
    *,
    not_learnt: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The features in the model's order, with what is known of each; `not_learnt`: of which the model knows no such."""
    if features is None or all(value is None for value in features.values()):  # a client whom nobody found
        return []
    return [
        {
            **spec,
            "value": features.get(spec["name"]),
            "shown": shown_value(screen.language, spec, features.get(spec["name"])),
            "is_learnt": spec["name"] not in not_learnt,
        }
        for spec in version["signature"]["features"]
    ]
