"""Answers as the document of the API shows them: one example for each task of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_Json = dict[str, Any]

_ID, _AT = "01a21d0d-a9f2-7e47-ae3c-d4eff2f2641a", "2026-11-27T12:49:24.513Z"
_RESULTS: dict[str, _Json] = {
    "binary": {"model": "churn", "probability": 0.6327, "label": "Yes", "threshold": 0.5},
    "multiclass": {
        "model": "risk",
        "probability": 0.5161,
        "label": "middle",
        "probabilities": {"high": 0.1204, "low": 0.3635, "middle": 0.5161},
    },
    "regression": {"model": "severity", "value": 787.755},
}


def _examples(make: Callable[[_Json], _Json]) -> _Json:
    return {task: {"summary": f"A {task} model", "value": make(result)} for task, result in _RESULTS.items()}


def _job(result: _Json) -> _Json:
    """A single job that has ended."""
    return {
        "id": _ID,
        "kind": "single",
        "status": "succeeded",
        "request_counts": {"total": 1, "succeeded": 1, "failed": 0, "cancelled": 0},
        "model": result["model"],
        "model_version": 1,
        "created_at": _AT,
        "started_at": _AT,
        "finished_at": _AT,
        "cancelled_at": None,
        "links": {
            "self": f"/v1/jobs/{_ID}",
            "results": f"/v1/jobs/{_ID}/results",
            "cancel": f"/v1/jobs/{_ID}/cancel",
        },
        "request_id": "1042-7",
        "client_id": "P-00000023",
        "result": {"client_id": "P-00000023", **result, "model_version": 1},
    }


def _page(result: _Json) -> _Json:
    """The results of a job of one row."""
    row = {
        "request_id": "1042-7",
        "client_id": "P-00000023",
        "probability": None,
        "label": None,
        "threshold": None,
        "model_version": 1,
        "error_code": None,
        "error_detail": None,
        "key": None,
        "value": None,
        **result,
    }
    return {"job_id": _ID, "complete": True, "rows": [row], "next": None}


_JOBS = _examples(_job)
OF_CALLS: dict[tuple[str, str], _Json] = {
    ("post", "/v1/predict"): _JOBS,
    ("post", "/v1/predict_raw"): _JOBS,
    ("get", "/v1/jobs/{job_id}"): _JOBS,
    ("get", "/v1/jobs/{job_id}/results"): _examples(_page),
}
