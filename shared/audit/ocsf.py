"""A line of the audit log in the words of OCSF (schema.ocsf.io), which collectors of security events understand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_VERSION = "1.3.0"  # of the schema
_API_ACTIVITY, _AUTHENTICATION = 6003, 3002
_CLASSES = {
    _API_ACTIVITY: ("API Activity", 6, "Application Activity"),
    _AUTHENTICATION: ("Authentication", 3, "Identity & Access Management"),
}
_LOGON = {"session.sign_in": (1, "Logon"), "session.sign_out": (2, "Logoff")}
_CREATE, _READ, _UPDATE, _DELETE = (1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete")
_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")
_FAILED = ("erasure.failed",)  # all other acts are in the log because they were done
_VERBS = {
    **dict.fromkeys(("create", "add", "ask", "register", "replay"), _CREATE),
    **dict.fromkeys(("read", "fetch", "answers", "export", "features"), _READ),
    **dict.fromkeys(("remove", "release", "revoke", "retire", "done", "failed"), _DELETE),
}


def ocsf_event(act: Mapping[str, Any]) -> dict[str, Any]:
    """A line as the call that lists them gives it, as an event: API Activity, or Authentication for a sign-in."""
    class_uid, (activity_id, activity) = _kind(act["action"])
    class_name, category_uid, category = _CLASSES[class_uid]
    status_id, status = _FAILURE if act["action"] in _FAILED else _SUCCESS
    user = {"name": act["actor"], "uid": act["actor"], "type": act["actor_kind"], "credential_uid": act["key"]}
    event: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_name": category,
        "category_uid": category_uid,
        "class_name": class_name,
        "class_uid": class_uid,
        "type_uid": class_uid * 100 + activity_id,
        "time": _milliseconds(act["at"]),
        "severity": "Informational",
        "severity_id": 1,
        "status": status,
        "status_id": status_id,
        "message": f"{act['actor']}: {act['action']} {act['object'] or ''}".rstrip(),
        "metadata": {
            "version": _VERSION,
            "uid": str(act["id"]),
            "log_name": "audit",
            "product": {"name": "predictq", "vendor_name": "predictq"},
        },
        "actor": {"user": _without_gaps(user)},
        "src_endpoint": _without_gaps({"ip": act["address"]}),
        "api": {"operation": act["action"], **({"request": {"uid": act["call_id"]}} if act["call_id"] else {})},
    }
    if class_uid == _AUTHENTICATION:
        event["user"] = event["actor"]["user"]
    if act["object"]:
        event["resources"] = [{"name": act["object"]}]
    rest = _without_gaps({name: act[name] for name in ("before", "after", "reason")})
    return {**event, "unmapped": rest} if rest else event


def _kind(action: str) -> tuple[int, tuple[int, str]]:
    if action in _LOGON:
        return _AUTHENTICATION, _LOGON[action]
    return _API_ACTIVITY, _VERBS.get(action.rpartition(".")[2], _UPDATE)


def _milliseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def _without_gaps(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
