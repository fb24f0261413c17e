"""Reading features by key: one COPY in one read-only transaction, and what became of each key."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.models.signature import Signature
from shared.pages.errors import PageTooLarge
from shared.pages.layout import MOST_BYTES
from shared.postgres.outages import may_be_of_one_row, reason
from shared.postgres.source_time_outs import STATEMENT, time_out
from shared.sources.key_types import CITEXT
from shared.sources.source import Source
from shared.sources.sql import KeySql, key_sql
from worker.sources.citext import Citext, has_citext
from worker.sources.columns import ReadingPlan, plan_columns
from worker.sources.csv_table import Misfits, parse
from worker.sources.failures import source_failure
from worker.sources.key_columns import Keys, found_places
from worker.sources.statements import copy_by_keys, key_is_number, probe, session

_REFUSED_VALUES = "22"  # class of errors about values: a key may be none of its type
_NOBODY = np.empty(0, np.intp)
_MOST_FAILURES = 1_100  # of statements in a search for such rows: all of the largest commit group are found with fewer


@dataclass(frozen=True, slots=True)
class Found:
    """What a source has for the wanted keys. `places` are rows of `features` by wanted key, -1 where it has none."""

    features: pa.Table
    places: npt.NDArray[np.intp]
    ambiguous: npt.NDArray[np.intp]  # wanted keys that more than one row has
    refused: npt.NDArray[np.intp]  # wanted keys that cannot be asked for
    misfits: Misfits = field(default_factory=dict)  # the feature whose value does not fit, by row of `features`
    lacking: str | None = None  # the first feature that the source has no column for
    failed: dict[int, str] = field(default_factory=dict)  # wanted keys whose rows raise an error, and which
    # Those of `refused` whose letters the source has otherwise.
    strange: npt.NDArray[np.intp] = field(default_factory=lambda: _NOBODY)


def read_features(
    driver: PsycopgConnection, source: Source, signature: Signature, wanted: Keys, *, citext: Citext | None = None
) -> Found:
    """The features of the wanted keys, as they are now: in one statement, so from one snapshot.

    The keys are distinct, and whole numbers rise: see wanted_keys. Clients whose rows raise an error in the source,
    as a view does that divides by zero, are found and left out, for they must not cost the others their answers.
    `driver` commits by itself. `citext` is needed where the key has that type. Raises SourceAway, SourceFailed, and
    PageTooLarge where it is more text than can be a page.
    """
    plan = plan_columns(source, signature)
    key = key_sql(source.key, citext.schema, citext.letters) if citext else key_sql(source.key, None)
    strange = _strange(source, wanted, citext)
    if len(strange):
        return replace(_without(driver, source, signature, wanted, strange, citext), strange=strange)
    try:
        data = _copy(driver, source, key, plan, wanted)
    except psycopg2.Error as error:
        refused = _refused_keys(driver, source, key, wanted, error)
        if len(refused):
            return _without(driver, source, signature, wanted, refused, citext)
        failed = _failing_keys(driver, source, key, plan, wanted, error)
        found = _without(driver, source, signature, wanted, np.array(sorted(failed), np.intp), citext, is_failed=True)
        return replace(found, failed=found.failed | failed)
    return _sorted_out(source, plan, wanted, data)


class _Text(io.BytesIO):
    """What PostgreSQL writes: of more than this a page could not be made, and it is in memory while it is parsed."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > MOST_BYTES:
            raise PageTooLarge("bytes of features", self.tell() + len(data), MOST_BYTES)
        return super().write(data)


def _copy(driver: PsycopgConnection, source: Source, key: KeySql, plan: ReadingPlan, wanted: Keys) -> memoryview:
    buffer = _Text()
    with driver.cursor() as cursor:
        cursor.copy_expert(session(source) + copy_by_keys(driver, source, key, plan, wanted), buffer)
    return buffer.getbuffer()


def _sorted_out(source: Source, plan: ReadingPlan, wanted: Keys, data: memoryview) -> Found:
    is_composite = len(source.key) > 1
    found, features, misfits = parse(data, plan, is_number=is_composite or key_is_number(source))
    if is_composite:
        slots = found.to_numpy().astype(np.intp)
    elif key_is_number(source):
        slots = found_places(found.to_numpy(), wanted)
    else:
        slots = found_places(_canonical(found, source) if has_citext(source) else found, wanted)
    count = len(wanted)
    if len(slots) == count and np.array_equal(slots, _numbers(count)):
        return Found(features, _numbers(count), _NOBODY, _NOBODY, misfits, plan.lacking)
    places = np.full(count, -1, np.intp)
    rows = np.flatnonzero(slots >= 0)  # a server that takes for equal what is not: nobody asked for the others
    places[slots[rows]] = rows
    counts = np.bincount(slots[rows], minlength=count)
    return Found(features, places, np.flatnonzero(counts > 1), _NOBODY, misfits, plan.lacking)


@lru_cache(maxsize=8)
def _numbers(count: int) -> npt.NDArray[np.intp]:
    numbers = np.arange(count)
    numbers.setflags(write=False)
    return numbers


def _canonical(texts: pa.Array, source: Source) -> pa.Array:
    """Keys of citext, as they are stored, in their canonical form."""
    if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return pc.ascii_lower(texts)
    return pa.array(list(map(source.key_form.of_source, texts.to_pylist())), pa.string())


def _strange(source: Source, wanted: Keys, citext: Citext | None) -> npt.NDArray[np.intp]:
    """Keys of letters whose small form the source has otherwise: it would take another client for this one, or none."""
    if citext is None or isinstance(wanted, np.ndarray):
        return _NOBODY
    numbers = np.flatnonzero(~pc.string_is_ascii(wanted).to_numpy(zero_copy_only=False))
    own = [place for place, column in enumerate(source.key) if column.type in CITEXT]
    parts = [source.key_form.parts(wanted[int(number)].as_py()) for number in numbers]
    return numbers[[any(citext.is_strange(key[place]) for place in own) for key in parts]]


def _without(
    driver: PsycopgConnection,
    source: Source,
    signature: Signature,
    wanted: Keys,
    left_out: npt.NDArray[np.intp],
    citext: Citext | None,
    *,
    is_failed: bool = False,
) -> Found:
    """The same for the other keys: those that are left out cannot be asked for, or `is_failed`."""
    kept = np.setdiff1d(np.arange(len(wanted)), left_out)
    found = read_features(driver, source, signature, _chosen(wanted, kept), citext=citext)
    places = np.full(len(wanted), -1, np.intp)
    places[kept] = found.places
    refused = kept[found.refused] if is_failed else np.union1d(left_out, kept[found.refused])
    failed = {int(kept[number]): why for number, why in found.failed.items()}
    return replace(found, places=places, ambiguous=kept[found.ambiguous], refused=refused, failed=failed)


def _chosen(wanted: Keys, numbers: npt.NDArray[np.intp]) -> Keys:
    return wanted[numbers] if isinstance(wanted, np.ndarray) else wanted.take(pa.array(numbers))


def _refused_keys(
    driver: PsycopgConnection, source: Source, key: KeySql, wanted: Keys, error: psycopg2.Error
) -> npt.NDArray[np.intp]:
    """The keys that the source takes for no values of the type; none where it is something else."""
    if not _is_refused_value(error):
        return np.empty(0, np.intp)

    def ask(asked: Keys) -> None:
        with driver.cursor() as cursor:
            cursor.execute(session(source) + probe(driver, key, asked))

    refused = _Search(source, wanted, ask, _is_refused_value).among(np.arange(len(wanted)))
    return np.array(sorted(refused), np.intp)


def _is_refused_value(error: psycopg2.Error) -> bool:
    return error.pgcode is not None and error.pgcode.startswith(_REFUSED_VALUES)


def _failing_keys(
    driver: PsycopgConnection, source: Source, key: KeySql, plan: ReadingPlan, wanted: Keys, error: psycopg2.Error
) -> dict[int, str]:
    """The keys whose rows raise an error, and which. Raises SourceAway, SourceFailed where that is not found out."""
    if not may_be_of_one_row(error):
        raise source_failure(source.name, error) from None

    def ask(asked: Keys) -> None:
        with driver.cursor() as cursor:
            cursor.copy_expert(session(source) + copy_by_keys(driver, source, key, plan, asked), _Nowhere())

    search = _Search(source, wanted, ask, may_be_of_one_row, most_failures=_MOST_FAILURES)
    failed = search.among(np.arange(len(wanted)), error)
    if len(failed) in (0, len(wanted)):  # it comes and goes, or is of all: the batch is tried again
        raise source_failure(source.name, error) from None
    return failed


class _Nowhere(io.BytesIO):
    """What was read only to see whether it can be."""

    def write(self, data: Any) -> int:
        return len(data)


class _Search:
    """Finds by halving the keys for which `ask` fails with an error of this kind.

    A search that takes too long, or more failures than it may, is given up.
    """

    def __init__(
        self,
        source: Source,
        wanted: Keys,
        ask: Callable[[Keys], None],
        is_of_kind: Callable[[psycopg2.Error], bool],
        *,
        most_failures: float = math.inf,
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._ask = ask
        self._is_of_kind = is_of_kind
        self._most_failures = most_failures
        self._failures = 0
        self._ends_at = time.monotonic() + (time_out(source.settings, STATEMENT) or math.inf)

    def among(self, numbers: npt.NDArray[np.intp], known: psycopg2.Error | None = None) -> dict[int, str]:
        """Those of these keys, and the error of each. `known` is the error of all. Raises SourceAway, SourceFailed."""
        error = known or self._error(_chosen(self._wanted, numbers))
        if error is None:
            return {}
        if len(numbers) == 1:
            return {int(numbers[0]): reason(error)}
        self._failures += 1
        if self._failures > self._most_failures or time.monotonic() > self._ends_at:
            raise source_failure(self._source.name, error) from None
        middle = len(numbers) // 2
        return self.among(numbers[:middle]) | self.among(numbers[middle:])

    def _error(self, asked: Keys) -> psycopg2.Error | None:
        try:
            self._ask(asked)
        except psycopg2.Error as error:
            if not self._is_of_kind(error):
                raise source_failure(self._source.name, error) from None
            return error
        return None
