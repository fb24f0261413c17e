"""Write what is inside: one CycloneDX list for the release and one for each image, out of the lock files.

Images install exactly what their lock file pins, by hash and without resolving, so the lock file is the list. What
Debian gave a base image is not in it: ask the image, `docker run --rm --entrypoint dpkg-query IMAGE -W`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "release": "cli/requirements.lock",
    "image-api": "api/requirements.lock",
    "image-worker": "worker/requirements.lock",
    "image-flower": "cli/requirements-flower.lock",
    "image-tools": "cli/requirements.lock",
    "image-demo": "cli/requirements.lock",
}


def main() -> int:
    """Write build/sbom/NAME.cdx.json, each checked against CycloneDX's schema."""
    folder = ROOT / "build" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name("cyclonedx-py")
    made: dict[str, str] = {}
    for name, lock in LOCKS.items():
        target = folder / f"{name}.cdx.json"
        if lock not in made:
            command = [program, "requirements", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible"]
            done = subprocess.run([*command, "-o", target, ROOT / lock], capture_output=True, text=True)
            if done.returncode:
                print(done.stderr[-2000:])
                return 1
            made[lock] = target.read_text(encoding="utf-8")
        bill = json.loads(made[lock])
        bill["metadata"]["component"]["name"] = f"predictq ({name})"
        target.write_text(json.dumps(bill, indent=1), encoding="utf-8")
        wanted = sum("==" in line and line[0].isalnum() for line in (ROOT / lock).read_text().splitlines())
        listed = len(bill["components"])
        print(f"sbom: {target.relative_to(ROOT)}: {listed} packages, {bill['bomFormat']} {bill['specVersion']}")
        if listed != wanted:
            print(f"sbom: {lock} pins {wanted} packages, and {listed} are listed")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
