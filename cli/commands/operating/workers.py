"""`predictq workers`: who is alive, what they can load, and what they do now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, remark, say_json, say_table

_SHOWN_VERSIONS = 4
_SHOWN_LIBRARIES = ("scikit-learn", "lightgbm", "xgboost", "catboost", "onnxruntime")


def workers(as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show the workers that are alive; needs a key with the role `operate`."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        found = client.call("GET", "/v1/workers")["workers"]
    if as_json:
        say_json(found)
        return
    headers = ("worker", "processes", "queues", "models", "loaded", "batches", "rows/s", "up since", "libraries")
    say_table(headers, map(_row, found), right=frozenset({"processes", "batches", "rows/s"}))
    if not found:
        remark("No worker is alive: jobs are accepted and wait. Start one with predictq worker")


def _row(worker: Mapping[str, Any]) -> tuple[object, ...]:
    since = datetime.fromisoformat(worker["started_at"]).astimezone(UTC)
    libraries = [f"{name} {worker['libraries'][name]}" for name in _SHOWN_LIBRARIES if name in worker["libraries"]]
    return (
        worker["name"],
        worker["processes"],
        ", ".join(worker["queues"]),
        _taken(worker),
        _first(worker["loaded_versions"]),
        len(worker["current_batches"]),
        f"{worker['rows_per_second'] or 0:,.0f}",
        f"{since:%Y-%m-%d %H:%M}Z",
        ", ".join(libraries),
    )


def _taken(worker: Mapping[str, Any]) -> str:
    """The models that it takes; those that the key is not for are not named."""
    if worker["models"] is None:
        return "all"
    return ", ".join([*worker["models"], *(["others"] if worker["takes_others"] else [])])


def _first(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_VERSIONS
    return ", ".join(names[:_SHOWN_VERSIONS]) + (f" and {more:,} more" if more > 0 else "")
