"""Client keys on their way into a page of requests: as the text of an array, in a line of COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import orjson

from shared.sources.keys import ClientKey
from shared.uploads.key_lines import KeyLines, array_element


@dataclass(frozen=True, slots=True)
class KeyPage:
    """The keys of one batch, and the features that came with them.

    `keys` are the elements of an array as they stand in a line of COPY, None where rows name no client. `spelled` is a
    JSON object: row number to what the caller wrote, of rows where that is not the natural form. `given` are such
    elements, too: a JSON object of features per row.
    """

    keys: bytes | None
    spelled: bytes | None = None
    given: bytes | None = None


class KeyPages(Protocol):
    """Client keys that can be read from the start again."""

    def pages(self, rows: int) -> Iterator[KeyPage]:
        """The keys in order, `rows` at a time."""


@dataclass(frozen=True, slots=True)
class ListedIds:
    """Whole numbers in a list."""

    ids: Sequence[int]

    def pages(self, rows: int) -> Iterator[KeyPage]:
        """See KeyPages."""
        for start in range(0, len(self.ids), rows):
            yield KeyPage(",".join(map(str, self.ids[start : start + rows])).encode())


@dataclass(frozen=True, slots=True)
class ListedKeys:
    """Client keys in a list, of a source that stores them as `storage` says."""

    keys: Sequence[ClientKey]
    storage: str

    def pages(self, rows: int) -> Iterator[KeyPage]:
        """See KeyPages."""
        for start in range(0, len(self.keys), rows):
            yield make_page(self.keys[start : start + rows], self.storage)


def make_page(keys: Iterable[ClientKey], storage: str) -> KeyPage:
    """A page of these keys."""
    keys = list(keys)
    canonical = [key.canonical for key in keys]
    elements = array_elements(canonical) if storage == "text" else ",".join(canonical).encode()
    spelled = {str(row): key.spelled for row, key in enumerate(keys) if key.spelled is not None}
    return KeyPage(elements, orjson.dumps(spelled) if spelled else None)


def key_lines(keys: Sequence[ClientKey], storage: str) -> KeyLines:
    """The same as lines, the way uploads are kept."""
    elements = [array_element(key.canonical) if storage == "text" else key.canonical for key in keys]
    spelled = {row: key.spelled for row, key in enumerate(keys) if key.spelled is not None}
    return KeyLines(("\n".join(elements) + "\n").encode(), len(keys), spelled=spelled)


def array_elements(texts: Iterable[str]) -> bytes:
    """Texts as the elements of an array in a line of COPY."""
    return ",".join(map(array_element, texts)).encode()


COPY_PAGES = """COPY predictq.batch_requests
(batch_id, request_count, source_id, job_id, keys_{storage}, spelled, given) FROM STDIN"""


def page_line(batch_id: int, rows: int, source_id: int | None, job_id: UUID, page: KeyPage) -> bytes:
    """A page of requests as a line for COPY_PAGES."""
    source = b"\\N" if source_id is None else b"%d" % source_id
    values = (_copy_array(page.keys), _copy_value(page.spelled), _copy_array(page.given))
    return b"%d\t%d\t%b\t%b\t%b\t%b\t%b\n" % (batch_id, rows, source, str(job_id).encode(), *values)


def _copy_value(content: bytes | None) -> bytes:
    """A value as a field of COPY's text format."""
    if content is None:
        return b"\\N"
    return content.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r").replace(b"\t", b"\\t")


def _copy_array(elements: bytes | None) -> bytes:
    """An array as a field of COPY's text format, of elements that are fit for it."""
    return b"\\N" if elements is None else b"{%b}" % elements
