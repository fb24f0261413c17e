"""From a file that somebody hands in to an artefact that can be registered, with what was found on the way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from model.artefact import Artefact, checked_threshold, versions_of_file
from model.errors import ModelRefused
from model.metadata import ArtefactMetadata
from model.opening import open_model, size_refusal
from model.servable import ordered_classes, own_threshold, servable
from shared.models.signature import Signature
from shared.models.task import Task
from worker.models.loaded_model import load_model
from worker.models.trial import try_out


@dataclass(frozen=True, slots=True)
class Offer:
    """A file to register, and what is said about it. `force`: why it is registered in spite of the trial's doubts."""

    content: bytes
    name: str
    signature: Signature
    positive: str | None = None
    threshold: float | None = None
    force: str | None = None


def prepare(offer: Offer) -> Artefact:
    """Open the file, find out what it answers, and try it on drawn rows.

    Opening runs code of the file. Raises ModelRefused and the other ArtefactErrors, each with what to do.
    """
    refusal = size_refusal(len(offer.content))
    if refusal:
        raise ModelRefused(refusal)
    estimator = open_model(offer.content)
    found = servable(estimator)
    classes = ordered_classes(found, offer.positive)
    threshold = offer.threshold
    if found.task is Task.BINARY:
        own = own_threshold(estimator, classes)
        if threshold is None:
            threshold = own
        if threshold is None:
            raise ModelRefused("--threshold is needed: at or above which probability is the label the positive class?")
    try:
        threshold = checked_threshold(threshold, found.task)
    except ValueError as error:
        raise ModelRefused(f"The {error}.") from error
    built = Artefact(offer.content, _metadata(offer, found.task, classes, threshold))
    return with_trial(built, force=offer.force)


def _metadata(offer: Offer, task: Task, classes: tuple[Any, ...], threshold: float | None) -> ArtefactMetadata:
    return ArtefactMetadata(
        name=offer.name,
        sha256=hashlib.sha256(offer.content).hexdigest(),
        signature=offer.signature,
        threshold=threshold,
        task=task,
        classes=classes,
        metrics={},
        library_versions=versions_of_file(offer.content),
        training_data=None,
        created_at=datetime.now(UTC),
    )


def with_trial(artefact: Artefact, *, force: str | None = None) -> Artefact:
    """The artefact with what its trial has found. Raises ModelRefused, with `can_force` where the trial only doubts."""
    trial = try_out(load_model(artefact, version=0))
    if trial.doubts and force is None:
        raise ModelRefused(
            "This model's answers are not each row's own: "
            + "; ".join(trial.doubts)
            + ". Mend the model, or register it "
            'all the same with --force "REASON".',
            can_force=True,
        )
    findings = [*artefact.metadata.findings, *trial.notes, *trial.doubts]
    if trial.doubts:
        findings.append(f"registered all the same: {force}")
    return replace(artefact, metadata=replace(artefact.metadata, findings=findings))
