"""Look for secrets in all that is under version control. There is no list of known findings.

A finding is a mistake, or an invented secret, which is one of the words below or stands on a line that says so.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Digests: lock files, what mutants were tried, a schema's catalogue.
SKIPPED = re.compile(r"(\.lock|^\.mutants/.*|^sql/catalogue\.txt|\.svg|\.png)$")
INVENTED = [
    r"^(password|secret|s3cret|wrong|unused|hidden|pw|p|guest|geheim|x|pass(word)?\d*|\$?\{.*|\$\w+|%s.*|…|\.\.\.)$",
    r"^[0-9a-f]{8,64}$",  # digests and ids; predictq's own keys begin with pq_
    r"^['\"`]?(erasures\.(log|secret)|up\b|unused/)",  # a file's name, a command, what CI builds images with
]
IN_TESTS = ("Secret Keyword", "Basic Auth Credentials")  # passwords of servers that a test makes, or that are nowhere
KEY = re.compile(r"\bpq_[A-Za-z0-9_-]{24,}")  # predictq's own
PLUGINS = (
    "AWSKeyDetector", "ArtifactoryDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector",
    "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "JwtTokenDetector",
    "KeywordDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector",
    "SendGridDetector", "SlackDetector", "SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)  # fmt: skip


def findings(folder: Path, names: list[str]) -> list[str]:
    """`file:line: kind` of each finding in the files."""
    from detect_secrets import SecretsCollection  # noqa: PLC0415 - make secrets has it, the tests do not
    from detect_secrets.settings import transient_settings  # noqa: PLC0415

    found = SecretsCollection(root=str(folder))
    filters = [
        {"path": "detect_secrets.filters.regex.should_exclude_secret", "pattern": INVENTED},
        {"path": "detect_secrets.filters.allowlist.is_line_allowlisted"},
        {"path": "detect_secrets.filters.heuristic.is_templated_secret"},
        {"path": "detect_secrets.filters.heuristic.is_indirect_reference"},
    ]
    with transient_settings({"plugins_used": [{"name": name} for name in PLUGINS], "filters_used": filters}):
        for name in names:
            if not SKIPPED.search(name):
                found.scan_file(name)
    lines = [
        f"{name}:{secret.line_number}: {secret.type}" for name, secret in found if not _is_invented(name, secret.type)
    ]
    return sorted(lines + own_keys(folder, names))


def _is_invented(name: str, kind: str) -> bool:
    return name.startswith(("tests/", "bench/")) and kind in IN_TESTS


def own_keys(folder: Path, names: list[str]) -> list[str]:
    """Files that hold an API key of predictq, whatever they are."""
    texts = ((name, (folder / name).read_text(encoding="utf-8", errors="replace")) for name in names)
    return [f"{name}: an API key of predictq" for name, text in texts for _ in KEY.findall(text)]


def main() -> int:
    """Look at every file of the repository, as it is here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    found = findings(ROOT, names)
    print("".join(f"secrets: {line}\n" for line in found), end="")
    print(f"secrets: {len(names)} files, {len(found)} findings")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
