"""What /docs says of the direct routes: parameters, bodies and answers, with examples to try by hand."""

from __future__ import annotations

from typing import Any

PREDICT: dict[str, Any] = {}
PREDICT_RAW: dict[str, Any] = {}
READ_JOB: dict[str, Any] = {}
CANCEL_JOB: dict[str, Any] = {}
LIVE: dict[str, Any] = {}
READY: dict[str, Any] = {}
HEALTH: dict[str, Any] = {}
METRICS: dict[str, Any] = {}
