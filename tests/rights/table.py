"""Every call with the API role that it takes and what it shows of others; every command with its calls."""

from __future__ import annotations

from dataclasses import dataclass

# What stands for a role where none is needed.
NOBODY = ""  # no key
ANY_KEY = "any"
LOOK = "look"  # a key, a person who is signed in, or this machine

# What a caller meets at a thing of another owner, whose role would do for her own.
OWN = "own only"  # lists and makes what is hers, and nothing else
UNKNOWN = "404"  # as if it were not there
SHARED = "shared"  # belongs to no owner
OPERATE = "404; `operate`: allowed, with a line in the audit log"


@dataclass(frozen=True, slots=True)
class Call:
    """A call: which roles it takes (one of them), things of other owners, and models that a key is not for."""

    method: str
    path: str
    roles: tuple[str, ...]
    others: str
    models: str = "–"

    @property
    def name(self) -> str:
        """As it is written."""
        return f"{self.method} {self.path}"


# What the audit log has of each call that changes something, or opens a way to what there is: the action of its line.
NO_LINE = {
    "POST /v1/predict": "the job itself says who asked what, and when",
    "POST /v1/predict_raw": "the job itself says who asked what, and when",
    "POST /v1/jobs": "the job itself says who asked what, and when",
    "POST /v1/jobs/{job_id}/repeat": "the job itself says who asked what, and when",
    "POST /v1/jobs/{job_id}/retry": "the job itself says who asked what, and when",
    "POST /v1/jobs/count": "only reads: it tells a number",
    "POST /v1/uploads": "nothing is done with a file before another call names it, and unused it goes",
    "POST /v1/uploads/{upload_id}/look": "only reads what the caller has sent",
}
ACTS = {
    "POST /v1/jobs/{job_id}/exports": "job.export",
    "POST /v1/jobs/{job_id}/cancel": "job.cancel",
    "POST /v1/jobs/cancel": "job.cancel",
    "POST /v1/clients/answers": "client.answers",
    "POST /v1/clients/features": "features.read",
    "POST /v1/clients/export": "client.export",
    "PATCH /v1/models/{name}": "model.change",
    "POST /v1/models/{name}/versions": "model.register",
    "POST /v1/models/{name}/versions/{number}/check": "model.check",
    "POST /v1/models/{name}/promote": "model.promote",
    "POST /v1/models/{name}/versions/{number}/promote": "model.promote",
    "POST /v1/models/{name}/rollback": "model.promote",
    "POST /v1/models/{name}/withdraw": "model.withdraw",
    "POST /v1/models/{name}/versions/{number}/retire": "model.retire",
    "POST /v1/sources": "source.add",
    "POST /v1/sources/{name}/check": "source.check",
    "DELETE /v1/sources/{name}": "source.remove",
    "POST /v1/sources/{name}/rows": "source.read",
    "DELETE /v1/rows/{rows_id}": "source.drop",
    "POST /v1/pauses": "pause.begin",
    "DELETE /v1/pauses/{pause_id}": "pause.end",
    "PUT /v1/retention": "retention.set",
    "PUT /v1/retention/floor": "retention.floor",
    "POST /v1/retention/run": "retention.ask",
    "POST /v1/holds": "hold.add",
    "DELETE /v1/holds/{hold_id}": "hold.release",
    "POST /v1/erasures": "erasure.ask",
    "POST /v1/erasures/replay": "erasure.replay",
    "POST /v1/keys": "key.create",
    "POST /v1/keys/{prefix}/rotate": "key.rotate",
    "POST /v1/keys/{prefix}/revoke": "key.revoke",
    "POST /v1/sign-in-links": "link.create",
}

_READ, _PREDICT, _BULK, _OPERATE, _ADMIN = ("read",), ("predict",), ("bulk",), ("operate",), ("admin",)

CALLS = (
    Call("POST", "/v1/predict", _PREDICT, OWN, "403"),
    Call("POST", "/v1/predict_raw", _PREDICT, OWN, "403"),
    Call("POST", "/v1/jobs", _BULK, OWN, "403"),
    Call("POST", "/v1/jobs/count", _BULK, SHARED, "403"),
    Call("GET", "/v1/filter-columns", _BULK, SHARED, "403"),
    Call("POST", "/v1/uploads", _BULK, OWN),
    Call("POST", "/v1/uploads/{upload_id}/look", _BULK, UNKNOWN, "403"),
    Call("GET", "/v1/jobs", _READ, OWN, "left out"),
    Call("GET", "/v1/jobs/{job_id}", _READ, UNKNOWN, "404"),
    Call("GET", "/v1/jobs/{job_id}/events", _READ, UNKNOWN, "404"),
    Call("GET", "/v1/jobs/{job_id}/results", _READ, UNKNOWN, "404"),
    Call("GET", "/v1/jobs/{job_id}/summary", _READ, UNKNOWN, "404"),
    Call("POST", "/v1/jobs/{job_id}/exports", _READ, UNKNOWN, "404"),
    Call("GET", "/v1/exports/{export_id}", _READ, UNKNOWN, "404"),
    Call("GET", "/v1/events", _READ, OWN, "left out"),
    Call("POST", "/v1/jobs/{job_id}/repeat", _BULK, UNKNOWN, "404"),
    Call("POST", "/v1/jobs/{job_id}/retry", _BULK, UNKNOWN, "404"),
    Call("POST", "/v1/jobs/{job_id}/cancel", ("predict", "bulk", "operate"), OPERATE, "404"),
    Call("POST", "/v1/jobs/cancel", ("predict", "bulk"), OWN, "left out"),
    Call("GET", "/v1/predictions/{request_id}", _READ, UNKNOWN, "404"),
    Call("POST", "/v1/clients/answers", _READ, OWN, "left out"),
    Call("POST", "/v1/clients/features", ("features",), SHARED, "403"),
    Call("POST", "/v1/clients/export", _ADMIN, "all owners"),
    Call("GET", "/v1/models", _READ, SHARED, "left out"),
    Call("GET", "/v1/signature", ("read", "predict"), SHARED, "403"),
    Call("GET", "/v1/models/{name}", _READ, SHARED, "403"),
    Call("PATCH", "/v1/models/{name}", _OPERATE, SHARED, "403"),
    Call("GET", "/v1/models/{name}/versions/{number}", _READ, SHARED, "403"),
    Call("POST", "/v1/models/{name}/versions", _ADMIN, SHARED),
    Call("POST", "/v1/models/{name}/versions/{number}/check", _OPERATE, SHARED, "403"),
    Call("POST", "/v1/models/{name}/promote", _OPERATE, SHARED, "403"),
    Call("POST", "/v1/models/{name}/versions/{number}/promote", _OPERATE, SHARED, "403"),
    Call("POST", "/v1/models/{name}/rollback", _OPERATE, SHARED, "403"),
    Call("POST", "/v1/models/{name}/withdraw", _OPERATE, SHARED, "403"),
    Call("POST", "/v1/models/{name}/versions/{number}/retire", _OPERATE, SHARED, "403"),
    Call("GET", "/v1/sources", _ADMIN, SHARED),
    Call("POST", "/v1/sources", _ADMIN, SHARED),
    Call("GET", "/v1/sources/{name}", _ADMIN, SHARED),
    Call("POST", "/v1/sources/{name}/check", _ADMIN, SHARED),
    Call("DELETE", "/v1/sources/{name}", _ADMIN, SHARED),
    Call("POST", "/v1/sources/{name}/rows", _ADMIN, SHARED),
    Call("GET", "/v1/rows/{rows_id}", _ADMIN, OWN),
    Call("DELETE", "/v1/rows/{rows_id}", _ADMIN, OWN),
    Call("GET", "/v1/workers", _OPERATE, SHARED),
    Call("GET", "/v1/attention", _OPERATE, SHARED, "left out"),
    Call("GET", "/v1/samples", _READ, SHARED, "left out"),
    Call("GET", "/v1/pauses", ("read", "operate"), SHARED, "left out"),
    Call("POST", "/v1/pauses", _OPERATE, SHARED, "403"),
    Call("DELETE", "/v1/pauses/{pause_id}", _OPERATE, SHARED, "404"),
    Call("GET", "/v1/storage", _OPERATE, SHARED, "403"),
    Call("GET", "/v1/retention", _ADMIN, SHARED),
    Call("PUT", "/v1/retention", _ADMIN, SHARED),
    Call("PUT", "/v1/retention/floor", _ADMIN, SHARED),
    Call("POST", "/v1/retention/run", _ADMIN, SHARED),
    Call("GET", "/v1/retention/runs/{run_id}", _ADMIN, SHARED),
    Call("GET", "/v1/holds", _ADMIN, "all owners"),
    Call("POST", "/v1/holds", _ADMIN, "all owners"),
    Call("DELETE", "/v1/holds/{hold_id}", _ADMIN, "all owners"),
    Call("POST", "/v1/erasures", _ADMIN, "all owners"),
    Call("POST", "/v1/erasures/replay", _ADMIN, "all owners"),
    Call("GET", "/v1/erasures", _ADMIN, "all owners"),
    Call("GET", "/v1/erasures/{erasure_id}", _ADMIN, "all owners"),
    Call("GET", "/v1/keys", _ADMIN, "all owners"),
    Call("POST", "/v1/keys", _ADMIN, "all owners"),
    Call("POST", "/v1/keys/{prefix}/rotate", _ADMIN, "all owners"),
    Call("POST", "/v1/keys/{prefix}/revoke", _ADMIN, "all owners"),
    Call("GET", "/v1/audit", _ADMIN, "all owners"),
    Call("POST", "/v1/sign-in-links", (ANY_KEY,), OWN),
    Call("GET", "/metrics", (LOOK,), SHARED),
    Call("GET", "/docs", (LOOK,), SHARED),
    Call("GET", "/openapi.json", (LOOK,), SHARED),
    Call("GET", "/docs/start.js", (NOBODY,), SHARED),
    Call("GET", "/health", (NOBODY,), SHARED),
    Call("GET", "/health/live", (NOBODY,), SHARED),
    Call("GET", "/health/ready", (NOBODY,), SHARED),
    Call("GET", "/problems", (NOBODY,), SHARED),
    Call("GET", "/problems/{code}", (NOBODY,), SHARED),
)

BY_NAME = {call.name: call for call in CALLS}

DATABASE = "DATABASE_URL"  # commands that open the database themselves, as the operator of the machine
SERVERS = "DATABASE_URL and REDIS_URL"
MACHINE = "this machine"  # what the account may do that runs it

_VERSION = "/v1/models/{name}/versions/{number}"

# A command may make one call or the other; it needs the role of each that it makes.
COMMANDS: dict[str, tuple[str, ...]] = {
    "predict": ("POST /v1/predict", "GET /v1/jobs/{job_id}"),
    "predict-raw": ("POST /v1/predict_raw", "GET /v1/jobs/{job_id}"),
    "bulk": (
        "GET /v1/jobs",
        "POST /v1/jobs",
        "POST /v1/uploads",
        "POST /v1/uploads/{upload_id}/look",
        "GET /v1/jobs/{job_id}",
        "GET /v1/jobs/{job_id}/summary",
    ),
    "count": ("POST /v1/jobs/count",),
    "jobs": ("GET /v1/jobs", "GET /v1/pauses"),
    "job": ("GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/summary"),
    "results": ("GET /v1/jobs/{job_id}/results", "POST /v1/jobs/{job_id}/exports", "GET /v1/exports/{export_id}"),
    "cancel": ("POST /v1/jobs/{job_id}/cancel", "POST /v1/jobs/cancel"),
    "repeat": ("POST /v1/jobs/{job_id}/repeat", "GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/summary"),
    "retry": ("POST /v1/jobs/{job_id}/retry", "GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/summary"),
    "trace": ("GET /v1/predictions/{request_id}",),
    "clients answers": ("POST /v1/clients/answers",),
    "clients export": ("POST /v1/clients/export",),
    "clients erase": ("POST /v1/erasures", "GET /v1/erasures/{erasure_id}"),
    "clients import": (DATABASE,),
    "models list": ("GET /v1/models",),
    "models show": ("GET /v1/models/{name}", f"GET {_VERSION}"),
    "models diff": ("GET /v1/models/{name}", f"GET {_VERSION}"),
    "models environment": ("GET /v1/models/{name}", f"GET {_VERSION}"),
    "models register": (
        "GET /v1/jobs",
        "POST /v1/uploads",
        "POST /v1/models/{name}/versions",
        f"POST {_VERSION}/promote",
    ),
    "models check": ("GET /v1/models/{name}", f"POST {_VERSION}/check"),
    "models default": ("PATCH /v1/models/{name}",),
    "models describe": ("PATCH /v1/models/{name}",),
    "models retire": (f"POST {_VERSION}/retire",),
    "models withdraw": ("POST /v1/models/{name}/withdraw",),
    "promote": ("POST /v1/models/{name}/promote", f"POST {_VERSION}/promote"),
    "rollback": ("POST /v1/models/{name}/rollback",),
    "train": (
        "GET /v1/models",
        "GET /v1/sources/{name}",
        "POST /v1/sources/{name}/rows",
        "GET /v1/rows/{rows_id}",
        "DELETE /v1/rows/{rows_id}",
        "GET /v1/jobs",
        "POST /v1/uploads",
        "POST /v1/models/{name}/versions",
        f"POST {_VERSION}/promote",
    ),
    "example load": (DATABASE,),
    "example train": (
        "POST /v1/sources",
        "GET /v1/jobs",
        "POST /v1/uploads",
        "POST /v1/models/{name}/versions",
        f"POST {_VERSION}/promote",
        DATABASE,
    ),
    "sources list": ("GET /v1/sources",),
    "sources add": ("POST /v1/sources",),
    "sources show": ("GET /v1/sources/{name}",),
    "sources check": ("POST /v1/sources/{name}/check",),
    "sources remove": ("DELETE /v1/sources/{name}",),
    "workers": ("GET /v1/workers",),
    "pause": ("POST /v1/pauses",),
    "resume": ("GET /v1/pauses", "DELETE /v1/pauses/{pause_id}"),
    "pauses": ("GET /v1/pauses",),
    "storage": ("GET /v1/storage",),
    "keys create": ("POST /v1/keys", f"{DATABASE} with --first"),
    "keys list": ("GET /v1/keys",),
    "keys rotate": ("POST /v1/keys/{prefix}/rotate",),
    "keys revoke": ("POST /v1/keys/{prefix}/revoke",),
    "audit list": ("GET /v1/audit",),
    "audit export": ("GET /v1/audit",),
    "retention show": ("GET /v1/retention",),
    "retention set": ("PUT /v1/retention",),
    "retention floor": ("PUT /v1/retention/floor",),
    "retention run": ("POST /v1/retention/run", "GET /v1/retention/runs/{run_id}", DATABASE),
    "holds add": ("POST /v1/holds",),
    "holds list": ("GET /v1/holds",),
    "holds release": ("DELETE /v1/holds/{hold_id}",),
    "erasures list": ("GET /v1/erasures",),
    "erasures replay": ("POST /v1/erasures/replay", "GET /v1/erasures/{erasure_id}"),
    "open": ("POST /v1/sign-in-links",),
    "compact": (DATABASE,),
    "migrate": (DATABASE,),
    "psql": (DATABASE,),
    "doctor": (SERVERS,),
    "api": (SERVERS,),
    "worker": (SERVERS,),
    "upkeep": (DATABASE,),
    "seals create-key": (MACHINE,),
    "seals create": (MACHINE,),
    "seals check": (MACHINE,),
    "up": (MACHINE,),
    "demo": (MACHINE,),
    "url": (MACHINE,),
}
