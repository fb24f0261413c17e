"""What is mutated, and which tests must notice: those that own the module, so that one mutant takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Target:
    """Modules, and the tests that own them, quickest first. Paths from the root."""

    modules: tuple[str, ...]  # globs
    tests: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        """The modules that there are."""
        found = [path for pattern in self.modules for path in ROOT.glob(pattern) if path.name != "__init__.py"]
        return sorted(path.relative_to(ROOT) for path in found)


TARGETS = [
    Target(
        ("shared/batches/claims.py",),
        (
            "tests/integration/test_shared_claims.py",
            "tests/integration/test_shared_finish.py",
            "tests/integration/test_shared_job_end.py",
            "tests/integration/test_worker_failures.py",
        ),
    ),
    Target(
        ("shared/batches/sweep.py", "worker/upkeep/sweeper.py"),
        ("tests/unit/test_worker_small.py", "tests/integration/test_shared_sweep.py"),
    ),
    Target(
        ("shared/batches/row_accounting.py",),
        ("tests/integration/test_api_row_accounting.py", "tests/integration/test_shared_jobs.py"),
    ),
    Target(
        ("shared/pages/*.py", "worker/pages/*.py"),
        (
            "tests/unit/test_pages_arrow.py",
            "tests/unit/test_pages_codec.py",
            "tests/unit/test_pages_keys.py",
            "tests/unit/test_pages_rewrite.py",
            "tests/unit/test_shared_small.py",
            "tests/integration/test_key_filter_sql.py",
            "tests/integration/test_worker_trace.py",
        ),
    ),
    Target(
        ("api/access/*.py",),
        (
            "tests/unit/test_api_parts.py",
            "tests/integration/test_api_admission.py",
            "tests/integration/test_api_refusals.py",
        ),
    ),
    Target(
        ("api/intake/*.py",),
        (
            "tests/unit/test_api_id_files.py",
            "tests/unit/test_api_group_spacing.py",
            "tests/unit/test_api_job_ids.py",
            "tests/unit/test_api_parts.py",
            "tests/integration/test_api_singles.py",
            "tests/integration/test_api_jobs.py",
            "tests/integration/test_api_admission.py",
        ),
    ),
    Target(
        ("worker/models/linear/compiled.py",),
        ("tests/unit/test_model_artefact.py", "tests/unit/test_cli_registry.py"),
    ),
]
