"""What other layers say, in the words of the command line: commands in place of HTTP calls, advice for a database."""

from __future__ import annotations

import re

# Of the texts of `shared` and of the gateway, which its callers read, too. A test holds that none is forgotten.
_COMMANDS = (
    (re.compile(r"with GET /v1/models\b"), "with: predictq models"),
    (re.compile(r"\bGET /v1/models\b"), "predictq models"),
    (re.compile(r"to (?:POST )?/v1/predict_raw\b"), "by predictq predict-raw"),
    (re.compile(r"(?:POST )?/v1/predict_raw\b"), "predictq predict-raw"),
    (re.compile(r"(?:POST )?/v1/predict\b"), "predictq predict"),
    (re.compile(r"(?:POST )?/v1/jobs\b"), "predictq bulk"),
    (re.compile(r"`columns`"), "--column"),
    (re.compile(r"\bas `source`"), "by --source NAME"),
    (re.compile(r"`rows` (?=\d)"), "--rows "),
    (re.compile(r"`(sheet|separator|decimal|dates|encoding)`"), r"--\1"),
)
_ADVICE = (
    ("unsupported startup parameter", "set ignore_startup_parameters = options in PgBouncer"),
    ("password authentication failed", "correct user and password in DATABASE_URL"),
    ("no password supplied", "put the password into DATABASE_URL"),
    ("no pg_hba.conf entry", "let the server admit this machine (pg_hba.conf), or correct DATABASE_URL"),
    ("certificate", "correct sslmode and sslrootcert in DATABASE_URL, or the server's certificate"),
    ("could not translate host name", "correct the host in DATABASE_URL; percent-encode @ / : in its password"),
    ("too many clients", "raise max_connections, or run fewer processes"),
    ('database "', "make it with createdb, or correct the name in DATABASE_URL"),
    ('role "', "correct the user in DATABASE_URL, or make that role"),
    ("disk is full", "make room on the disk of PostgreSQL's data"),
    ("read-only", "name the primary in DATABASE_URL"),
)
START_IT = "start it, or correct DATABASE_URL"


def as_commands(text: str) -> str:
    """`text` with each HTTP call in it replaced by the command that does the same."""
    for pattern, command in _COMMANDS:
        text = pattern.sub(command, text)
    return text


def database_advice(reason: str) -> str:
    """What to do about PostgreSQL's refusal; `reason` has the driver's words."""
    return next((advice for said, advice in _ADVICE if said in reason), START_IT)
