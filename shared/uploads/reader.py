"""An upload from its first byte to its last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from shared.models.signature import Signature
from shared.uploads.blocks import Blocks, RecordEnds
from shared.uploads.csv_features import CsvFeatures
from shared.uploads.csv_keys import CsvKeys
from shared.uploads.key_lines import KeyLines
from shared.uploads.keys import KeyForm
from shared.uploads.ndjson_features import NdjsonFeatures
from shared.uploads.ndjson_keys import NdjsonKeys
from shared.uploads.refusals import LineFault, UploadRefused


class _Format(RecordEnds, Protocol):
    def read(self, line: int, block: bytes) -> Iterator[KeyLines]:
        """The keys of whole records. Raises UploadRefused."""


class KeyReader:
    """The client keys of an upload whose bytes come in pieces of any size.

    `feed` and `finish` parse at most 64 kB between two values that they give, so that an event loop can turn to others.
    Memory is that of one block and of the piece fed. After a refusal nothing is held, and whatever is fed is refused in
    the same words.
    """

    def __init__(self, form: _Format) -> None:
        self._format = form
        self._blocks = Blocks(form)
        self._faults: tuple[LineFault, ...] | None = None

    @classmethod
    def of_csv(cls, form: KeyForm) -> KeyReader:
        """Commas; a header that names the key's columns, or one column without a header."""
        return cls(CsvKeys(form))

    @classmethod
    def of_ndjson(cls, form: KeyForm) -> KeyReader:
        """A JSON value on each line."""
        return cls(NdjsonKeys(form))

    @classmethod
    def of_csv_features(cls, form: KeyForm, signature: Signature) -> KeyReader:
        """Commas; a header that names the model's features, and perhaps the key's columns."""
        return cls(CsvFeatures(form, signature))

    @classmethod
    def of_ndjson_features(cls, form: KeyForm, signature: Signature) -> KeyReader:
        """A JSON object of features on each line, perhaps with a key."""
        return cls(NdjsonFeatures(form, signature))

    def feed(self, piece: bytes) -> Iterator[KeyLines]:
        """The keys that `piece` completes. Raises UploadRefused."""
        return self._read(self._blocks.feed(piece))

    def finish(self) -> Iterator[KeyLines]:
        """The upload has ended: the keys of its last records. Raises UploadRefused."""
        return self._read(self._blocks.finish())

    def _read(self, blocks: Iterator[tuple[int, bytes]]) -> Iterator[KeyLines]:
        if self._faults is not None:
            raise UploadRefused(self._faults)
        try:
            for line, block in blocks:
                yield from self._format.read(line, block)
        except UploadRefused as refused:
            # Not the error itself, which by its traceback would hold this reader and the block: a cycle of megabytes.
            self._faults = refused.faults
            self._blocks.discard()
            raise
