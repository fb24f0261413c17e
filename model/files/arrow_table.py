"""Parquet and Arrow files, whose columns have types of their own; read batch by batch with pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.files.refusals import TableRefused
from shared.files.typed_text import TypedText

_ROWS = 10_000  # at a time


class ArrowTable:
    """A Parquet file, or one of Arrow's IPC format (.arrow, .feather)."""

    may_use_comma = False

    def __init__(self, path: Path) -> None:
        """Reads the schema. Raises TableRefused."""
        self._path = path
        self._schema = self._open()[0]
        self.names: Sequence[str] = list(self._schema.names)

    @cached_property
    def known_types(self) -> Mapping[str, str]:
        """See TableFile. Raises TableRefused, with the column where a type is none of PostgreSQL's."""
        return {field.name: _type(field) for field in self._schema}

    def type_of(self, name: str) -> str:
        """The type of one column. Raises TableRefused where it is none of PostgreSQL's."""
        return _type(self._schema.field(name))

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """See TableFile. Rows count from 1."""
        writers = [_writer(field.type) for field in self._open()[0]]
        for number, row in self.cells():
            yield number, ["" if value is None else write(value) for write, value in zip(writers, row, strict=True)]

    def cells(self, wanted: Sequence[str] | None = None) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows, counted from 1, as Python's values of their types; of the `wanted` columns in that order."""
        import pyarrow as pa  # noqa: PLC0415 - see _open

        number = 0
        try:
            for batch in self._open(wanted)[1]():
                columns = batch.columns if wanted is None else [batch.column(name) for name in wanted]
                for row in zip(*(column.to_pylist() for column in columns), strict=True):
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError) as error:
            raise TableRefused(f"{self._path} cannot be read after row {number} ({_why(error)})") from None

    def _open(self, wanted: Sequence[str] | None = None) -> tuple[Any, Callable[[], Iterator[Any]]]:
        import pyarrow as pa  # noqa: PLC0415 - a second and 100 MB that CSV can do without
        from pyarrow import ipc, parquet  # noqa: PLC0415

        try:
            if self._path.suffix.lower() in {".parquet", ".pq"}:
                file = parquet.ParquetFile(self._path)
                return file.schema_arrow, lambda: file.iter_batches(_ROWS, columns=wanted)
            source = pa.memory_map(str(self._path))
            try:
                reader = ipc.open_file(source)
                return reader.schema, lambda: (reader.get_batch(n) for n in range(reader.num_record_batches))
            except pa.ArrowInvalid:
                stream = ipc.open_stream(source)
                return stream.schema, lambda: self._whole(stream, source)
        except (pa.ArrowException, OSError) as error:
            raise TableRefused(f"{self._path} cannot be read ({_why(error)})") from None

    def _whole(self, stream: Any, source: Any) -> Iterator[Any]:
        """The batches of a stream. Raises TableRefused without the mark at its end: its writer may have died before."""
        read = source.tell()
        for batch in stream:
            read = source.tell()
            yield batch
        if source.tell() == read:  # the reader goes past the mark, where there is one
            raise TableRefused(
                f"{self._path} is not whole: the stream lacks its end. Write it anew, and close the writer"
            )


def _why(error: Exception) -> str:
    return "it takes too much memory" if isinstance(error, MemoryError) else type(error).__name__


def _type(field: Any) -> str:
    """PostgreSQL's type of a column. Raises TableRefused."""
    import pyarrow.types as is_a  # noqa: PLC0415

    kind = field.type.value_type if is_a.is_dictionary(field.type) else field.type
    if is_a.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    checks: tuple[tuple[Callable[[Any], bool], str], ...] = (
        (is_a.is_boolean, "boolean"),
        (lambda t: t in _small_types(), "smallint"),
        (lambda t: is_a.is_int32(t) or is_a.is_uint16(t), "integer"),
        (lambda t: is_a.is_int64(t) or is_a.is_uint32(t), "bigint"),
        (lambda t: is_a.is_uint64(t) or is_a.is_decimal(t), "numeric"),
        (is_a.is_floating, "double precision"),
        (is_a.is_date, "date"),
        (lambda t: is_a.is_string(t) or is_a.is_large_string(t) or is_a.is_string_view(t), "text"),
        (is_a.is_null, "text"),
    )
    for fits, name in checks:
        if fits(kind):
            return name
    raise TableRefused(f"column {field.name}: a {field.type} cannot be a column of the table; leave it out of the file")


def _small_types() -> tuple[Any, ...]:
    import pyarrow as pa  # noqa: PLC0415

    return (pa.int8(), pa.int16(), pa.uint8())


def _writer(kind: Any) -> Callable[[Any], str]:
    """How a value of a column becomes text."""
    import pyarrow.types as is_a  # noqa: PLC0415

    kind = kind.value_type if is_a.is_dictionary(kind) else kind
    if is_a.is_boolean(kind):
        return lambda value: TypedText("true" if value else "false")
    if is_a.is_timestamp(kind):
        return _moment
    if is_a.is_floating(kind):
        return lambda value: TypedText(repr(value))
    is_text = is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind)
    return str if is_text else TypedText


def _moment(value: Any) -> str:
    if getattr(value, "nanosecond", 0):
        raise TableRefused(f"the moment {value} has nanoseconds, which PostgreSQL cannot keep: cut it to microseconds")
    return TypedText(value.isoformat(sep=" "))
