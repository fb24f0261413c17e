"""The acts on jobs that there are: what each is called, what it promises, and which jobs it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from web.words.catalogues import N_

OPEN = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done to a job."""

    name: str
    title: str
    title_many: str
    promise: str  # what happens, and what does not
    is_dangerous: bool = False

    def fits(self, job: dict[str, Any]) -> bool:
        """Whether it can be done to this job as it stands."""
        is_open = job["status"] in OPEN
        if self.name == "cancel":
            return is_open
        if job["kind"] != "bulk":
            return False
        return not is_open and bool(job["request_counts"]["failed"]) if self.name == "retry" else True


ACTS = {
    act.name: act
    for act in (
        Act(
            "cancel",
            N_("Cancel this job"),
            N_("Cancel these jobs"),
            N_("Rows that are not answered yet will not be. Answers that were given stay. This cannot be taken back."),
            is_dangerous=True,
        ),
        Act(
            "repeat",
            N_("Ask the same again"),
            N_("Ask the same again"),
            N_(
                "A new job for each, of the same filter or the same clients, by the version that is live now, "
                "without a deadline."
            ),
        ),
        Act(
            "retry",
            N_("Retry the failed rows"),
            N_("Retry the failed rows"),
            N_(
                "A new job for each, of its rows that have an error, without a deadline. "
                "The jobs shown here stay as they are."
            ),
        ),
    )
}
