"""The documentation says what the code has: calls, problems, settings, metrics, and links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from pydantic import BaseModel

from api.http.problems import KINDS
from api.schemas.jobs import Job, ResultPage
from api.server.app import create_app
from api.watch.metrics import Metrics
from shared.batches.row_accounting import RowAccount
from shared.batches.sweep import Backlog
from shared.config import Settings, load_settings
from shared.status import Queue, RowError
from tests.torture.sabotage.proofs import PROOFS
from worker import metrics as worker_metrics

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_CODE = re.compile(r"^(```.*?^```|(?: {4}).*?)$", re.MULTILINE | re.DOTALL)


class Idle:
    """A gateway's state in which every gauge has a sample."""

    def backlog(self) -> list[Backlog]:
        return [Backlog(queue, 0, 0, 0, 0.0) for queue in Queue]

    def row_account(self) -> RowAccount:
        return RowAccount(0, 0, 0, 0, 0)

    def open_streams(self) -> int:
        return 0

    def open_waiters(self) -> int:
        return 0

    def published(self) -> int:
        return 0

    def publish_failures(self) -> int:
        return 0

    def failures(self) -> dict[str, int]:
        return {"notices": 1}

    def stalled_seconds(self) -> float:
        return 0.0

    def duties(self) -> list[tuple[str, float, bool]]:
        return [("expiry", 12.0, True)]

    def open_connections(self) -> int:
        return 0

    def refusals(self) -> dict[str, int]:
        return {"malformed": 1}

    def limit_refusals(self) -> dict[str, int]:
        return {"key_streams": 1}

    def failed_keys(self) -> int:
        return 0

    def is_subscribed(self) -> bool:
        return True


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def table_rows(page: str) -> dict[str, list[str]]:
    """Each table row of a page that begins with a word in code, by that word."""
    rows = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `"))
    return {row[0].strip("`"): row for row in rows}


def test_the_api_page_has_every_call_of_the_openapi_document() -> None:
    """Whoever reads docs/api.md has seen every path that the gateway serves."""
    settings = load_settings(database_url="postgresql+psycopg2://nowhere/none", redis_url="redis://nowhere")
    paths = create_app(settings).openapi()["paths"]
    page = read("api.md")
    assert [path for path in paths if f"{path}`" not in page and f"{path}\n" not in page] == []


@pytest.mark.parametrize(
    ("method", "path", "shape"),
    [
        ("post", "/v1/predict", Job),
        ("post", "/v1/predict_raw", Job),
        ("get", "/v1/jobs/{job_id}", Job),
        ("get", "/v1/jobs/{job_id}/results", ResultPage),
    ],
)
def test_answers_of_all_three_tasks_are_shown(method: str, path: str, shape: type[BaseModel]) -> None:
    """In the OpenAPI document, beside the schema of the answer, which each example keeps."""
    settings = load_settings(database_url="postgresql+psycopg2://nowhere/none", redis_url="redis://nowhere")
    answer = create_app(settings).openapi()["paths"][path][method]["responses"]["200"]
    shown = answer["content"]["application/json"]
    assert "$ref" in shown["schema"]
    assert sorted(shown["examples"]) == ["binary", "multiclass", "regression"]
    for example in shown["examples"].values():
        shape.model_validate(example["value"])


def test_the_api_page_explains_every_problem_with_its_status() -> None:
    """Every `type` that a caller can meet is in the table, with the status that comes with it."""
    explained = table_rows(read("api.md"))
    assert {code: explained.get(code, ["", ""])[1] for code in KINDS} == {
        code: str(kind.status) for code, kind in KINDS.items()
    }


def test_every_row_error_is_explained() -> None:
    """Every code of a failed row is in the architecture's table."""
    assert [code.value for code in RowError if code.value not in table_rows(read("architecture.md"))] == []


def test_every_setting_is_explained_with_its_default() -> None:
    """docs/operations.md names every variable that a process reads, and the default that it really has."""
    explained = table_rows(read("operations.md"))
    expected = {}
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"PREDICTQ_{name.upper()}")
        has_no_default = field.is_required() or field.default in (None, "")
        expected[variable] = "–" if has_no_default else _as_variable(field.default)
    assert {name: explained.get(name, ["", ""])[1] for name in expected} == expected


def _as_variable(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("process", ["gateway", "worker"])
def test_every_metric_is_explained(process: str) -> None:
    """docs/operations.md names every metric that the gateway and the worker export, as Prometheus shows it."""
    assert worker_metrics.SCORED_ROWS is not None  # its import is what registers the worker's metrics
    registry = Metrics(Idle()).registry if process == "gateway" else REGISTRY
    labels = dict(_metric_labels(registry))
    told = re.findall(r"`(predictq_\w+)(?:\{([\w,]+)\})?`", read("operations.md"))
    assert len(labels) >= 10
    assert labels.items() <= {name: frozenset(filter(None, names.split(","))) for name, names in told}.items()


def _metric_labels(registry: CollectorRegistry) -> Iterator[tuple[str, frozenset[str]]]:
    """Each metric of ours with its labels; a collector of our own shows them in its samples."""
    for collector in registry._collector_to_names:
        own = getattr(collector, "_labelnames", None)
        for family in collector.collect():
            if family.name.startswith("predictq_") and not family.name.endswith("_created"):
                name = f"{family.name}_total" if family.type == "counter" else family.name
                seen = {label for sample in family.samples for label in sample.labels}
                yield name, frozenset(seen if own is None else own)


def test_every_table_of_the_database_is_told() -> None:
    """docs/architecture.md has each table that PostgreSQL has after a migration."""
    catalogue = (ROOT / "sql" / "catalogue.txt").read_text(encoding="utf-8")
    tables = re.findall(r"^(?:partitioned )?table (\w+)$", catalogue, re.MULTILINE)
    told = read("architecture.md").partition("## Tables")[2].partition("## Status of a job")[0]
    named = {name for line in told.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    assert len(tables) >= 30
    assert [name for name in tables if name not in named] == []
    assert [name for name in named if name not in tables] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_row_of_a_table_comes_twice(page: Path) -> None:
    """Within a table nothing that has a name in code is explained a second time."""
    tables = re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE)
    names = [re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE) for table in tables]
    assert [name for rows in names for name in rows if rows.count(name) > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists and, where it has an anchor, a heading of that page."""
    assert [link for link in _links(page) if not _leads_somewhere(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_waits_to_be_filled_in(page: Path) -> None:
    """No page holds a mark in the place of words or a table that were to come."""
    assert re.findall(r"@@\w*|\bTODO\b|\bTBD\b", page.read_text(encoding="utf-8")) == []


def test_what_a_models_libraries_are_installed_with_is_told_where_models_are_registered() -> None:
    """Each extra with the libraries in it, as `pyproject.toml` has them."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    page = (DOCS / "your-data.md").read_text("utf-8")
    for extra, words in (("boosters", ("LightGBM", "XGBoost", "CatBoost", "imbalanced-learn")), ("onnx", ("ONNX",))):
        (line,) = [line for line in page.splitlines() if f"--editable '.[{extra}]'" in line]
        assert all(word in line for word in words)
        assert len(extras[extra]) == len(words)


def test_what_is_shown_for_a_frame_of_pandas_finds_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/your-data.md are run with the address that `predictq url --database` prints."""
    page = (DOCS / "your-data.md").read_text("utf-8").partition("A frame of pandas goes")[2]
    lines = re.findall(r"^    (.*)$", page.partition("\nThen ")[0].partition("The driver is named")[0], re.MULTILINE)
    printed = subprocess.CompletedProcess([], 0, stdout="postgresql://predictq:a@127.0.0.1:1/predictq\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: printed)
    frame = mock.Mock()

    exec("\n".join(lines), {"frame": frame})

    (table, engine), _ = frame.to_sql.call_args
    assert (table, engine.driver, engine.url.host) == ("subscribers", "psycopg2", "127.0.0.1")


def test_the_proofs_of_the_torture_are_told() -> None:
    """docs/reliability.md has each proof: its fault, the promises of which one must break, whether it has a control."""
    lines = [
        f"| {proof.protection} | {proof.fault} | {'; '.join(sorted(proof.promises))} "
        f"| {'passes' if proof.has_control else '–'} |"
        for proof in PROOFS
    ]
    told = read("reliability.md").partition("| without | fault |")[2].partition("\n\n")[0]
    assert told.splitlines()[2:] == lines


def _links(page: Path) -> list[str]:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    return [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name) if name else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_CODE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


ROOMS = [
    folder
    for room in ("api", "web", "worker", "shared", "model", "cli", "devstack", "examples", "bench")
    for folder in sorted({path.parent for path in (ROOT / room).rglob("__init__.py")})
]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_every_room_is_told_of_and_is_no_crowd(room: Path) -> None:
    """It says what lives there, stands in the plan of the house, and has at most fifteen modules."""
    assert room.joinpath("__init__.py").read_text(encoding="utf-8").startswith('"""')
    assert f"| `{room.relative_to(ROOT)}/` |" in (DOCS / "architecture.md").read_text(encoding="utf-8")
    modules = [path.name for path in room.glob("*.py") if path.name not in {"__init__.py", "__main__.py"}]
    assert len(modules) <= 15, modules


def test_the_modules_of_a_prediction_are_there_and_named_once() -> None:
    """The table in architecture.md, which newcomers read the code by, has each module once, and those of the POST."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The modules of a single prediction, in order")[2].partition("\n## ")[0]
    named = re.findall(r"^\|[^|]*\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert sorted(named) == sorted(set(named))
    route = (ROOT / "api/routes/predict.py").read_text(encoding="utf-8")
    called = re.findall(r"^from (api\.(?:access|intake|routes)\.\w+) import", route, re.MULTILINE)
    assert called
    assert {f"{module.replace('.', '/')}.py" for module in called} <= set(named)
