"""From a file that somebody hands in to an artefact that can be registered, with what was found on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from model.artefact import Artefact, checked_threshold, versions_of_file
from model.errors import ModelRefused, doubted
from model.formats import FORMATS, ONNX, format_of, open_file
from model.graphs.onnx_model import OnnxModel
from model.metadata import ArtefactMetadata
from model.own_threshold import own_threshold, threshold_elsewhere
from model.servable import Servable, ordered_classes, servable
from model.signature.category_types import is_booster
from model.signature.infer import Column, as_boosters_take, as_onnx_takes, infer_signature, lacking_words
from model.signature.learnt_types import otherwise_learnt
from shared.files.model_size import size_refusal
from shared.models.feature import dtype_flaw
from shared.models.signature import FeatureSpec, Signature, find_feature, missing_columns
from shared.models.task import Task, class_name
from worker.models.drawn.suited import Words
from worker.models.gaps import settle_gaps
from worker.models.loaded_model import LoadedModel, load_model, wrap
from worker.models.trial import try_out

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Offer:
    """A file to register, and what is said about it.

    `signature` corrects what is inferred, feature by feature, or says all where the file names no features. `columns`
    are the source's; None where features come with each call. `allow` names types of a skops file that are trusted.
    `force`: why it is registered in spite of the trial's doubts. A file of another form than `formats` is not opened.
    `code` is the pack of the modules that it brings, which are importable already. `others` are columns of the source's
    table that are no features there: why, by name. `open_gaps` are features of `signature` of which nothing is said of
    whether they may be missing: that is found out by trying. `words`, by feature, are common in the source: they are
    drawn where nothing in the file tells any.
    """

    content: bytes
    name: str
    signature: Signature | None = None
    columns: Sequence[Column] | None = None
    source_id: int | None = None
    positive: str | None = None
    threshold: float | None = None
    allow: Sequence[str] = ()
    force: str | None = None
    formats: Sequence[str] = FORMATS
    code: bytes | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    open_gaps: Collection[str] = ()
    words: Words | None = None


def prepare(offer: Offer) -> Artefact:
    """Open the file, find out what it takes and what it answers, and try it on drawn rows.

    Opening runs code of the file, unless it is skops or ONNX. What was found stands in the metadata's `findings`.
    Raises ModelRefused and the other ArtefactErrors, each with what to do.
    """
    refusal = size_refusal(len(offer.content))
    if refusal:
        raise ModelRefused(refusal)
    file_format = format_of(offer.content)
    if file_format not in offer.formats:
        raise ModelRefused(
            f"The file is none of {', '.join(offer.formats)}, and so it is not opened here: opening a pickle runs its "
            "code. On the command line predictq models register takes it."
        )
    if offer.code is not None and file_format == ONNX:
        raise ModelRefused("An ONNX file is a graph and imports no code: register it without --code.")
    estimator = open_file(offer.content, file_format, allow=tuple(offer.allow))
    found = servable(estimator)
    classes = ordered_classes(found, offer.positive)
    threshold, findings = _threshold(offer, estimator, found, classes)
    signature, notes = _signature(offer, estimator)
    notes += _otherwise_learnt(offer, estimator, signature)
    metadata = ArtefactMetadata(
        name=offer.name,
        sha256=hashlib.sha256(offer.content).hexdigest(),
        signature=signature,
        threshold=threshold,
        task=found.task,
        classes=classes,
        metrics={},
        library_versions=versions_of_file(offer.content),
        training_data=None,
        created_at=datetime.now(UTC),
        file_format=file_format,
        source_id=offer.source_id,
        findings=[*notes, *findings],
        code_sha256=None if offer.code is None else hashlib.sha256(offer.code).hexdigest(),
    )
    artefact = Artefact(offer.content, metadata, offer.code)
    said = _said(offer) - set(offer.open_gaps)
    settled = settle_gaps(wrap(estimator, artefact, version=0), said=said, words=offer.words)
    settled = _without_open_gaps(offer, estimator, settled)
    settled_one = replace(artefact, metadata=replace(metadata, signature=settled))
    return with_trial(settled_one, force=offer.force, words=offer.words)


def _threshold(
    offer: Offer, estimator: Any, found: Servable, classes: tuple[Any, ...]
) -> tuple[float | None, list[str]]:
    if found.task is not Task.BINARY:
        if offer.threshold is not None:
            raise ModelRefused(f"--threshold is for models of two classes; this one is a {found.task.value} model.")
        return None, []
    own = own_threshold(estimator, classes)
    try:
        if offer.threshold is not None:
            threshold = checked_threshold(offer.threshold, found.task)
            differs = own is not None and own != threshold
            return threshold, [f"the estimator's own threshold is {own:g}, not {threshold:g}"] if differs else []
    except ValueError as error:
        raise ModelRefused(f"The {error}.") from error
    if own is not None:
        return own, [f"threshold {own:.6g}, which the estimator holds itself"]
    elsewhere = threshold_elsewhere(estimator, classes)
    if elsewhere is None:
        return DEFAULT_THRESHOLD, [f"threshold {DEFAULT_THRESHOLD}: none was given"]
    if offer.force is None:
        raise ModelRefused(
            f"The estimator's own {elsewhere}: nothing here stands for it. Say --threshold PROBABILITY, from which on "
            f"the label is {class_name(classes[1])}, or take {DEFAULT_THRESHOLD}, and other labels than its predict "
            'gives, with --force "REASON".',
            can_force=True,
        )
    return DEFAULT_THRESHOLD, [
        f"threshold {DEFAULT_THRESHOLD}; the estimator's own {elsewhere}; registered all the same: {offer.force}"
    ]


def _signature(offer: Offer, estimator: Any) -> tuple[Signature, list[str]]:
    """The inferred signature with what was said of it put in."""
    try:
        inferred = infer_signature(estimator, offer.columns, sorted(_said(offer)), others=offer.others)
    except ModelRefused:
        if offer.signature is None:
            raise
        return _taken(estimator, _with_open_gaps(offer, estimator)), _lacking(offer, offer.signature)
    if offer.signature is None:
        return inferred.signature, inferred.notes
    strange = [name for name in offer.signature.names if name not in inferred.signature.names]
    if strange:
        raise ModelRefused(
            f"The signature names {', '.join(map(repr, strange))}, and the model has no such feature. It has "
            f"{', '.join(map(repr, inferred.signature.names[:20]))}."
        )
    said = _with_open_gaps(offer, estimator)
    features = tuple(find_feature(said, spec.name) or spec for spec in inferred.signature.features)
    return _taken(estimator, features), inferred.notes


def _with_open_gaps(offer: Offer, estimator: Any) -> tuple[FeatureSpec, ...]:
    """What is said of the features, those as nullable of which it is to be found out, unless their column never is."""
    never = {column.name for column in offer.columns or () if not column.nullable}
    wanted = set(offer.open_gaps) - never
    said = () if offer.signature is None else offer.signature.features
    return tuple(_with_gap(estimator, spec) if spec.name in wanted else spec for spec in said)


def _with_gap(estimator: Any, spec: FeatureSpec) -> FeatureSpec:
    fits = dtype_flaw(spec.kind, spec.dtype, nullable=True, categories=spec.categories) is None
    found = replace(spec, nullable=True, dtype=spec.dtype if fits else "")
    return as_boosters_take(found) if is_booster(estimator) else found


def _without_open_gaps(offer: Offer, estimator: Any, settled: Signature) -> Signature:
    """The features whose gap the model does not answer, again as they were said."""
    said = () if offer.signature is None else _taken(estimator, offer.signature.features).features
    return Signature(
        tuple(
            (not spec.nullable and spec.name in offer.open_gaps and find_feature(said, spec.name)) or spec
            for spec in settled.features
        )
    )


def _taken(estimator: Any, features: Sequence[FeatureSpec]) -> Signature:
    """The signature of features that a person has named, each in the type in which a graph takes it."""
    if isinstance(estimator, OnnxModel):
        features = [as_onnx_takes(estimator, spec) for spec in features]
    return Signature(tuple(features))


def _otherwise_learnt(offer: Offer, estimator: Any, signature: Signature) -> list[str]:
    """What no row of the source can match, where that is accepted. Raises ModelRefused, with `can_force`."""
    if offer.columns is None:
        return []
    found = otherwise_learnt(estimator, signature, {column.name: column.type for column in offer.columns})
    if found and offer.force is None:
        remedy = _KEEP_WORDS if all(each.is_flag for each in found) else _TRAIN_ALIKE
        raise ModelRefused(
            f"No row of the source can match: {'; '.join(each.words for each in found[:3])}. {remedy} To register it "
            'all the same: --force "REASON".',
            can_force=True,
        )
    return [f"{each.words}; registered all the same: {offer.force}" for each in found]


_TRAIN_ALIKE = (
    "Train it on what the column holds (of pd.read_csv, dtype={NAME: str} keeps texts and parse_dates=[NAME] makes "
    "dates), or give it a view that casts the column."
)
_KEEP_WORDS = (
    "Train it on True and False, or let the source have the words: predictq clients import FILE --types NAME=text, or "
    "a view."
)


def _lacking(offer: Offer, signature: Signature) -> list[str]:
    if offer.columns is None:
        return []
    known = [column.name for column in offer.columns]
    missing = list(missing_columns(signature, known))
    return [lacking_words(missing, known, offer.others)] if missing else []


def _said(offer: Offer) -> frozenset[str]:
    """The features of which a person has said what they are."""
    return frozenset() if offer.signature is None else frozenset(offer.signature.names)


def with_trial(artefact: Artefact, *, force: str | None = None, words: Words | None = None) -> Artefact:
    """The artefact with what its trial has found. Raises ModelRefused, with `can_force` where the trial only doubts."""
    model: LoadedModel = load_model(artefact, version=0)
    trial = try_out(model, words=words)
    if trial.doubts and force is None:
        found = "; ".join(trial.doubts)
        raise doubted(f"The trial on drawn rows raises doubts: {found}")
    findings = [*artefact.metadata.findings, *trial.notes, *trial.doubts]
    if trial.doubts:
        findings.append(f"registered all the same: {force}")
    return replace(artefact, metadata=replace(artefact.metadata, findings=findings))
