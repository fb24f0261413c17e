"""The outside of a page: format, kind, and the body out of its zstd frame."""

from __future__ import annotations

import zstandard

from shared.pages.errors import PageDamaged, PageFormatUnknown
from shared.pages.layout import FORMAT, MOST_BYTES, Kind

Data = bytes | memoryview  # psycopg2 gives bytea as a memoryview


def open_page(data: Data) -> tuple[Kind, bytes]:
    """The kind and the decompressed body of a page. Raises PageFormatUnknown, PageDamaged."""
    view = memoryview(data).cast("B")  # psycopg2's gives bytes for an element
    if len(view) < 2:
        raise PageDamaged(f"it has {len(view)} bytes")
    if view[0] != FORMAT:
        raise PageFormatUnknown(view[0])
    try:
        kind = Kind(view[1])
    except ValueError:
        raise PageDamaged(f"there is no kind {view[1]}") from None
    body = view[2:]
    return kind, bytes(body) if kind is Kind.LINES else _decompress(body)


def _decompress(frame: memoryview) -> bytes:
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= MOST_BYTES:  # before memory is taken for it
            raise PageDamaged(f"it claims a size of {size} bytes")
        # Neither object may be shared by threads, and making one is cheap.
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise PageDamaged(str(error)) from error
