"""One call of the API as it is typed: in a shell with curl, in Python, and with the command line."""

from __future__ import annotations

import json
from typing import Any


def call_texts(url: str, body: str) -> list[tuple[str, str]]:
    """The name and the text of each way to send `body`, a JSON object of `model` and `features`, to predict_raw."""
    asked = json.loads(body)
    features = json.dumps(asked["features"], ensure_ascii=False)
    curl = (
        f"curl -s {in_shell(url)} \\\n"
        '  -H "Authorization: Bearer $PREDICTQ_API_KEY" -H "Prefer: wait=10" \\\n'
        f"  --json {in_shell(body)}"
    )
    python = (
        "import os\n\nimport httpx\n\n"
        f"answer = httpx.post(\n    {url!r},\n"
        '    headers={"Authorization": f"Bearer {os.environ[\'PREDICTQ_API_KEY\']}", "Prefer": "wait=10"},\n'
        f"    json={_literal(asked)},\n    timeout=30,\n)\n"
        'print(answer.json()["result"])'
    )
    command = (
        f"printf '%s' {in_shell(features)} |\n"
        f"  predictq predict-raw --features - --model {in_shell(str(asked['model']))} --wait"
    )
    return [("curl", curl), ("Python", python), ("predictq", command)]


def in_shell(text: str) -> str:
    """A text as one word of a POSIX shell, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def _literal(asked: dict[str, Any]) -> str:
    """The body as Python writes it, a feature on each line."""
    features = "".join(f"            {name!r}: {value!r},\n" for name, value in asked["features"].items())
    return f'{{\n        "model": {asked["model"]!r},\n        "features": {{\n{features}        }},\n    }}'
