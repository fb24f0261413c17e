"""What is installed is also what the images are built from."""

from __future__ import annotations

import tomllib

from tests.support import ROOT


def test_every_package_reaches_the_images() -> None:
    """The engine gets what .dockerignore lets through: a package that it leaves out is missing in `tools`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    assert packages <= let_through
