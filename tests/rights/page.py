"""The page docs/who-may-what.md, from the table."""

from __future__ import annotations

from pathlib import Path

from shared.access.roles import ALL_ROLES
from tests.rights.table import ACTS, ANY_KEY, BY_NAME, CALLS, COMMANDS, LOOK, NOBODY, Call

PAGE = Path(__file__).parents[2] / "docs" / "who-may-what.md"

_INTRODUCTION = """# Who may do what

Written by `make rights` from the table that the tests go by: every call is made without a key, with a key of each
role, with one that is limited to another model, and for things of another owner. What an API key may do, a person may
do whose group has the same roles; the screens show and do nothing that the calls below would not do for whoever is
signed in. `admin` stands for every role. `features` also opens the features in the trace of a prediction, which are
left out without it; each look at a client's features is a line in the audit log.

In the columns of roles ✓ means that a key with this role alone may make the call, – that it is answered 403. Without
a key every call under `/v1` is a 401.

- **Others'**: what a caller meets at things of another owner. *404*: as if it were not there. *own only*: the call
  makes or lists what is the caller's owner's. *shared*: models, sources, workers and queues belong to no owner. *all
  owners*: the call is for those who look after the whole.
- **Other models**: what a key limited to some models meets at any other. *403*: refused before it is asked whether
  there is such a model. *404* and *left out*: as if the job were not there. *–*: the call names no model, or takes
  `admin`, which is for all models.
- **Audit log**: the action of the line that the call leaves there. *–*: the call only reads; or it makes a job, which
  says itself who asked for it; or it sends a file, with which nothing is done before another call names it.
"""


def page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION, "## Calls", ""]
    lines += _table(("call", *ALL_ROLES, "others'", "other models", "audit log"), [_call_row(call) for call in CALLS])
    lines += ["", "## Commands", ""]
    lines += [
        "A command takes the roles of the calls that it makes; some make one call or the other, by their options.",
        "",
    ]
    lines += _table(("`predictq` +", "calls", "roles"), [_command_row(name) for name in COMMANDS])
    return "\n".join(lines) + "\n"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (heads, tuple("---" for _ in heads), *rows)]


def _call_row(call: Call) -> tuple[str, ...]:
    if call.roles == (NOBODY,):
        marks = ["no key"] * len(ALL_ROLES)
    elif call.roles in ((LOOK,), (ANY_KEY,)):
        marks = ["✓"] * len(ALL_ROLES)
    else:
        marks = ["✓" if role in call.roles or role == "admin" else "–" for role in ALL_ROLES]
    others = f"{call.others}; signed in, or on this machine, without a key" if call.roles == (LOOK,) else call.others
    return (f"`{call.name}`", *marks, others, call.models, f"`{ACTS[call.name]}`" if call.name in ACTS else "–")


def _command_row(name: str) -> tuple[str, ...]:
    calls = COMMANDS[name]
    roles = dict.fromkeys(" or ".join(map(_role, BY_NAME[call].roles)) for call in calls if call in BY_NAME)
    shown = [f"`{call}`" if call in BY_NAME else call for call in calls]
    return (f"`{name}`", "<br>".join(shown), ", ".join(roles) or "–")


def _role(role: str) -> str:
    return {NOBODY: "no key", ANY_KEY: "any key"}.get(role, f"`{role}`")
