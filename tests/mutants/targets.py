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
            "tests/integration/queues/test_claims.py",
            "tests/integration/queues/test_finish.py",
            "tests/integration/jobs/test_job_end.py",
            "tests/integration/worker/test_failures.py",
        ),
    ),
    Target(
        ("shared/batches/sweep.py", "worker/upkeep/sweeper.py"),
        (
            "tests/unit/worker/test_sweeper.py",
            "tests/unit/worker/test_small.py",
            "tests/integration/queues/test_sweep.py",
        ),
    ),
    Target(
        ("shared/batches/row_accounting.py",),
        ("tests/integration/gateway/test_row_accounting.py", "tests/integration/jobs/test_jobs.py"),
    ),
    Target(
        ("shared/pages/*.py", "worker/pages/*.py"),
        (
            "tests/unit/pages/test_arrow.py",
            "tests/unit/pages/test_page_parts.py",
            "tests/unit/pages/test_codec.py",
            "tests/unit/pages/test_keys.py",
            "tests/unit/pages/test_rewrite.py",
            "tests/unit/shared/test_small.py",
            "tests/integration/sources/test_key_filter_sql.py",
            "tests/integration/worker/test_trace.py",
        ),
    ),
    Target(
        tuple(
            f"api/access/{name}.py" for name in ("admission", "auth", "caller", "caps", "failed_keys", "idempotency")
        ),
        (
            "tests/unit/access/test_admission.py",
            "tests/unit/access/test_caps.py",
            "tests/unit/access/test_failed_keys.py",
            "tests/unit/access/test_remembered_keys.py",
            "tests/unit/gateway/test_parts.py",
            "tests/integration/access/test_admission.py",
            "tests/integration/gateway/test_refusals.py",
            "tests/integration/access/test_roles.py",
        ),
    ),
    Target(
        ("api/intake/*.py",),
        (
            "tests/unit/gateway/test_selections.py",
            "tests/unit/gateway/test_single_jobs.py",
            "tests/unit/gateway/test_bulk_jobs.py",
            "tests/unit/gateway/test_warm_ups.py",
            "tests/unit/gateway/test_group_spacing.py",
            "tests/unit/gateway/test_job_ids.py",
            "tests/unit/gateway/test_model_directory.py",
            "tests/unit/gateway/test_parts.py",
            "tests/unit/gateway/test_uploads.py",
            "tests/integration/gateway/test_singles.py",
            "tests/integration/gateway/test_jobs.py",
            "tests/integration/access/test_admission.py",
            "tests/integration/jobs/test_feature_uploads.py",
            "tests/integration/jobs/test_table_uploads.py",
            "tests/integration/gateway/test_promotion.py",
            "tests/integration/access/test_roles.py",
        ),
    ),
    Target(
        ("shared/batches/stalls.py", "shared/batches/unloadable.py"),
        (
            "tests/integration/gateway/test_attention.py",
            "tests/integration/access/test_admin.py",
            "tests/integration/outages/test_supervision.py",
            "tests/integration/worker/test_workers.py",
        ),
    ),
    Target(
        ("shared/uploads/*.py",),
        (
            "tests/unit/files/test_quick_keys.py",
            "tests/unit/files/test_cell_values.py",
            "tests/unit/files/test_category_words.py",
            "tests/unit/files/test_feature_uploads.py",
            "tests/unit/files/test_table_uploads.py",
            "tests/unit/files/test_uploads.py",
            "tests/unit/gateway/test_uploads.py",
        ),
    ),
    Target(
        ("worker/uploads/*.py",),
        (
            "tests/unit/files/test_table_columns.py",
            "tests/unit/files/test_table_looks.py",
            "tests/unit/files/test_table_uploads.py",
            "tests/unit/worker/test_upload_reader.py",
            "tests/integration/worker/test_closed_uploads.py",
            "tests/integration/jobs/test_table_uploads.py",
        ),
    ),
    Target(
        ("worker/models/loaded_model.py", "worker/models/matrix.py"),
        (
            "tests/unit/worker/test_compiled_parts.py",
            "tests/unit/worker/test_matrix.py",
            "tests/unit/worker/test_linear.py",
            "tests/unit/models/test_own_attributes.py",
            "tests/unit/models/test_models_of_others.py",
        ),
    ),
    Target(
        ("worker/models/linear/*.py",),
        (
            "tests/unit/worker/test_compiled_parts.py",
            "tests/unit/worker/test_linear.py",
            "tests/unit/models/test_model_artefact.py",
            "tests/unit/models/test_models_of_others.py",
        ),
    ),
]
