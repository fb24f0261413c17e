"""The small parts of planning: the spool, the cutting of pages, and what a planner imports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from shared.jobs.accepting.bulk import rows_per_batch
from shared.sources.description import PAGE_BYTES, rows_of_a_page
from shared.sources.source import Source
from tests.support import loaded_of, wait_until
from worker.planning import page_cutter, spool
from worker.planning.key_cutter import KeyCutter
from worker.planning.page_cutter import FIRST_ROWS, PageCutter
from worker.planning.scan_cutter import ScanCutter
from worker.planning.spool import KeySpool

MOST = 10_000
MakeSpool = Callable[..., KeySpool]


@pytest.fixture
def make_spool() -> Iterator[MakeSpool]:
    """Makes spools, and gives their disk back in the end."""
    made: list[KeySpool] = []

    def make(most_bytes: int = 1 << 20, patience_seconds: float = 60) -> KeySpool:
        made.append(KeySpool(most_bytes, patience_seconds=patience_seconds))
        return made[-1]

    yield make
    for keys in made:
        keys.discard()


def fill(keys: KeySpool, first: int, last: int) -> None:
    """Write keys as the driver does, one by one, and pass them on."""
    for key in range(first, last + 1):
        keys.incoming.write(b"%d\n" % key)
    keys.incoming.flush()


def sizes(cutter: PageCutter) -> list[int]:
    found = []
    while page := cutter.next_page():
        found.append(page.rows)
    return found


def test_the_first_page_is_small_and_the_others_grow_with_what_is_known(make_spool: MakeSpool) -> None:
    """A job is answered while it is planned; the more rows there are, the larger are its pages."""
    keys = make_spool()
    cutter = KeyCutter(keys, planned=0, most_rows=MOST)
    fill(keys, 1, 100_000)
    found = sizes(cutter)
    assert found[:3] == [FIRST_ROWS, MOST, MOST]
    keys.end()
    assert sum(found + sizes(cutter)) == 100_000
    assert cutter.is_done


@pytest.mark.parametrize("count", [1, 999, 5_000, 12_345, 60_000, 200_000])
def test_a_selection_that_is_read_at_once_is_shared_like_a_list(make_spool: MakeSpool, count: int) -> None:
    """Once all keys are known, pages are as large as those of a job that lists them."""
    keys = make_spool(1 << 22)
    fill(keys, 1, count)
    keys.end()
    found = sizes(KeyCutter(keys, planned=0, most_rows=MOST))
    size = rows_per_batch(count, most=MOST)
    assert found == [size] * (count // size) + ([count % size] if count % size else [])


def test_pages_hold_the_keys_in_order_and_name_the_last(make_spool: MakeSpool) -> None:
    """Cutting loses no key, doubles none, and says from where another reading goes on."""
    keys = make_spool()
    cutter = KeyCutter(keys, planned=0, most_rows=700)
    fill(keys, 1, 2_000)
    keys.end()
    pages = []
    while page := cutter.next_page():
        pages.append(page)
    assert b",".join(page.keys for page in pages) == b",".join(b"%d" % key for key in range(1, 2_001))
    assert [page.last_key for page in pages] == ["700", "1400", "2000"]


def test_rows_that_come_slowly_wait_for_company_but_not_for_ever(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that does not fill is written after a while."""
    monkeypatch.setattr(page_cutter, "_LINGER_SECONDS", 3600)
    keys = make_spool()
    cutter = KeyCutter(keys, planned=50_000, most_rows=MOST)
    fill(keys, 1, 30)
    assert cutter.next_page() is None
    monkeypatch.setattr(page_cutter, "_LINGER_SECONDS", 0)
    page = cutter.next_page()
    assert page is not None
    assert page.rows == 30


def test_a_row_that_waits_in_the_buffer_is_seen(make_spool: MakeSpool) -> None:
    """Whoever waits for rows sees also few of them, before the reading ends."""
    keys = make_spool()
    keys.incoming.write(b"1\n")
    assert keys.rows == 0
    keys.wait_for_more(0.01)
    assert (keys.rows, keys.take(100)) == (1, b"1\n")


def test_the_spool_gives_back_what_came_in_and_closes_its_files(
    make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes come out in order, whatever the file they were in; a file that is read is gone."""
    monkeypatch.setattr(spool, "_FILE_BYTES", 1_000)
    keys = make_spool()
    expected = b""
    for start in range(0, 5_000, 100):
        fill(keys, start, start + 99)
        expected += b"".join(b"%d\n" % key for key in range(start, start + 100))
    assert len(keys._files) > 3
    found = b""
    while piece := keys.take(777):
        found += piece
    assert found == expected
    assert len(keys._files) == 1


def test_a_full_spool_makes_the_reading_wait(make_spool: MakeSpool) -> None:
    """The source is read no faster than keys can be kept."""
    keys = make_spool(most_bytes=10)
    reading = threading.Thread(target=lambda: [fill(keys, n, n) for n in range(1000, 1010)], daemon=True)
    reading.start()
    wait_until(lambda: keys.rows == 2, what="a full spool")  # the second makes it full, by the bound of ten bytes
    taken = b""
    while reading.is_alive() or keys._bytes:
        assert keys._bytes <= 10
        taken += keys.take(5)
    assert taken.split() == [b"%d" % n for n in range(1000, 1010)]


def test_a_spool_that_was_full_for_too_long_takes_nothing_more(make_spool: MakeSpool) -> None:
    """What it took before stays, in order and without a gap."""
    keys = make_spool(most_bytes=10, patience_seconds=0.05)
    fill(keys, 1000, 1001)
    fill(keys, 1002, 1003)
    fill(keys, 1004, 1005)
    assert keys.is_cut_short
    assert keys.take(100) == b"1000\n1001\n"


def test_who_waits_for_rows_is_not_held_by_a_full_spool(make_spool: MakeSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reader and writer of a spool that is far too small never wait for each other in a ring."""
    keys = make_spool(most_bytes=1)
    count = 20_000
    reading = threading.Thread(target=lambda: (fill(keys, 1, count), keys.end()), daemon=True)
    reading.start()
    cutter = KeyCutter(keys, planned=0, most_rows=100)
    rows = 0

    def is_done() -> bool:
        nonlocal rows
        while page := cutter.next_page():
            rows += page.rows
        if not cutter.is_done:
            keys.wait_for_more(0.001)
        return cutter.is_done

    wait_until(is_done, what="all rows")
    assert rows == count


def test_a_planner_is_small() -> None:
    """It imports none of the libraries that models need."""
    assert loaded_of("numpy pandas pyarrow sklearn scipy celery", by="worker.planning.main") == ""


def test_wide_rows_that_are_read_along_make_small_pages(make_spool: MakeSpool) -> None:
    """A page of rows with their features has some 8 MB, however many rows it may have; a single row is a page."""
    keys = make_spool(1 << 26)
    width = 100_000
    for key in range(300):
        keys.incoming.write(b"%d\t%s\n" % (key, b"x" * width))
    keys.incoming.write(b"300\t%s\n" % (b"x" * 10_000_000))
    keys.incoming.flush()
    keys.end()
    cutter = ScanCutter(keys, planned=1_000, most_rows=MOST)
    found = []
    while page := cutter.next_page():
        found.append((page.rows, len(page.given or b"")))
    assert sum(rows for rows, _ in found) == 301
    assert all(size < 1.1 * PAGE_BYTES for rows, size in found if rows > 1)
    assert len(found) <= 8


SEVERAL = [1, 2, 2, 3, 4, 4, 4, 5, 6, 6]  # keys of lines, in order


@pytest.mark.parametrize("most", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("seen", range(len(SEVERAL) + 1))
def test_a_key_of_several_rows_is_one_row_of_a_plan(make_spool: MakeSpool, most: int, seen: int) -> None:
    """Wherever a page ends, and however many lines had come when it was cut; without features it is ambiguous."""
    expected = {key: b'"null"' if SEVERAL.count(key) > 1 else b"f%d" % SEVERAL.index(key) for key in SEVERAL}
    for cut, features in ((KeyCutter, False), (ScanCutter, True)):
        keys = make_spool()
        cutter = cut(keys, planned=50_000, most_rows=most)
        pages = []
        for number, key in enumerate(SEVERAL):
            if number == seen:
                pages += list(iter(cutter.next_page, None))
            keys.incoming.write(b"%d%s\n" % (key, b"\tf%d" % number if features else b""))
            keys.incoming.flush()
        keys.end()
        while not cutter.is_done:
            page = cutter.next_page()
            pages += [page] if page else []
        assert b",".join(page.keys or b"" for page in pages) == b",".join(b"%d" % key for key in expected)
        assert [page.last_key for page in pages] == [(page.keys or b"").split(b",")[-1].decode() for page in pages]
        assert cutter.planned == 50_000 + sum(page.rows for page in pages) == 50_006
        assert max(page.rows for page in pages) <= most
        if features:
            assert b",".join(page.given or b"" for page in pages) == b",".join(expected.values())


@pytest.mark.parametrize("how", ["dropped", "failed"])
def test_the_last_key_of_a_reading_that_broke_off_is_read_again(make_spool: MakeSpool, how: str) -> None:
    """More rows of it may have come: the next reading begins with it."""
    keys = make_spool()
    for line in (b"1\ta\n", b"2\tb\n", b"2\tc\n"):
        keys.incoming.write(line)
    keys.incoming.flush()
    if how == "dropped":
        keys.drop()
        keys.end()
    else:
        keys.end(OSError())
    cutter = ScanCutter(keys, planned=0, most_rows=10)
    page = cutter.next_page()
    assert page is not None
    assert (page.keys, page.given) == (b"1", b"a")
    assert cutter.next_page() is None
    assert cutter.is_done


def test_pages_follow_the_measured_width_of_the_features_that_a_model_reads() -> None:
    """8 MB by the width of the model's own columns; no more rows than may be; as ever where nobody measured."""
    source = Source(1, "s", None, "public", "s", (), measured={"column_bytes": {"note": 20_000, "age": 2}})
    assert rows_of_a_page(source, ["note", "age"], most=10_000) == 399
    assert rows_of_a_page(source, ["age"], most=10_000) == 10_000
    assert rows_of_a_page(replace(source, measured={"column_bytes": {"note": 10**9}}), ["note"], most=10_000) == 1
    assert rows_of_a_page(replace(source, measured={}), ["note"], most=10_000) == 10_000
    assert rows_of_a_page(None, ["note"], most=10_000) == 10_000
