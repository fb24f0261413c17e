"""Keys of citext in databases of other locales: what is one client for the source is one for us, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from devstack.servers.postgres import EmbeddedPostgres
from shared.sources.errors import SourceRefused
from shared.sources.key_types import CITEXT_OF_ASCII
from tests.integration.sources.source_support import connect, fetch, numbers, planned, run, source, values, wanted
from worker.sources import citext
from worker.sources.citext import Citext, find_citext, look_at_citext
from worker.sources.describing.description import describe
from worker.sources.failures import SourceFailed
from worker.sources.reading import Found, read_features

C = "LOCALE_PROVIDER libc LOCALE 'C'"
SIMPLE = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"  # letter by letter
FULL = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'"  # of İ two letters, of Σ another at a word's end
LATIN = "ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C'"

# In each locale some are one key to citext, and only the first of those can be in a table.
WORDS = [
    "É1",
    "é1",
    "Plain",
    "ix",
    "İx",
    "i̇x",
    "k",
    "\u212a",
    "ΟΔΟΣ",
    "οδος",
    "οδοσ",
    "Straẞe",
    "straße",
    "Ж",
    "ж",
    "z",
]

Made = Callable[[str], PsycopgConnection]


@pytest.fixture
def made(source_postgres: EmbeddedPostgres) -> Iterator[Made]:
    """Makes the test's database, of a locale, and gives a connection to it."""
    admin = connect(source_postgres.url)
    drivers = []

    def make(locale: str) -> PsycopgConnection:
        run(admin, f"CREATE DATABASE lettered TEMPLATE template0 STRATEGY file_copy {locale}")
        driver = connect(source_postgres.url.rpartition("/")[0] + "/lettered")
        drivers.append(driver)
        run(driver, "CREATE EXTENSION citext; CREATE TABLE t (k citext PRIMARY KEY, n integer, v integer)")
        return driver

    yield make
    for driver in drivers:
        driver.close()
    run(admin, "DROP DATABASE IF EXISTS lettered WITH (FORCE)")
    admin.close()


def filled(driver: PsycopgConnection) -> list[str]:
    """What is in the table of WORDS, in key order; the value of each is its number there."""
    for number, word in enumerate(WORDS):
        run(driver, "INSERT INTO t VALUES (%s, 7, %s) ON CONFLICT DO NOTHING", word, number)
    return fetch(driver, "SELECT k::text FROM t ORDER BY t.k")


@pytest.mark.parametrize(
    ("locale", "kind", "unanswered"),
    [
        (C, CITEXT_OF_ASCII, []),
        (SIMPLE, "citext", ["ΟΔΟΣ"]),
        (FULL, "citext", ["İx", "ΟΔΟΣ"]),
    ],
)
@pytest.mark.parametrize("is_composite", [False, True])
def test_nobody_is_answered_with_another_client(
    made: Made, locale: str, kind: str, unanswered: list[str], is_composite: bool
) -> None:
    """Asked alone or beside all others, a key has its own row's value or is refused; a plan has the same keys."""
    driver = made(locale)
    rows = filled(driver)
    key = {"k": kind, "n": "integer"} if is_composite else {"k": kind}
    assert describe(driver, "t", key=list(key))["key"][0] == {"name": "k", "type": kind}
    things = source("t", key, {"v": "integer"})
    form, how = things.key_form, find_citext(driver, things)

    def canonical(word: str) -> str:
        return form.parse({"k": word, "n": 7} if is_composite else word).canonical

    def read(asked: list[str]) -> Found:
        return read_features(driver, things, numbers("v"), wanted(asked), citext=how)

    keys = [canonical(word) for word in rows]
    assert len(set(keys)) == len(keys)
    expected = [None if word in unanswered else WORDS.index(word) for word in rows]
    together = read(keys)
    assert values(together) == expected
    assert together.strange.tolist() == [number for number, word in enumerate(rows) if word in unanswered]
    assert together.refused.tolist() == together.strange.tolist()
    for word in WORDS:
        alone = read([canonical(word)])
        number = keys.index(canonical(word)) if canonical(word) in keys else None
        assert values(alone) == [None if number is None else expected[number]], word
    assert planned(driver, things, {}) == keys
    for number, text in enumerate(keys):
        assert planned(driver, things, {}, after=text) == keys[number + 1 :]


def test_of_a_letter_that_the_source_has_otherwise_no_row_is_another_key(made: Made) -> None:
    """Where the table has her spelled so that citext takes her for one whom we take for another."""
    driver = made(FULL)
    run(driver, "INSERT INTO t VALUES ('İx', 7, 1)")
    for key, asked in ({"k": "citext"}, "i̇x"), ({"k": "citext", "n": "integer"}, '["i̇x","7"]'):
        things = source("t", key, {"v": "integer"})
        found = read_features(driver, things, numbers("v"), wanted([asked]), citext=find_citext(driver, things))
        assert values(found) == [None]


@pytest.mark.parametrize(("small", "theirs"), [("i", "ı"), ("j\u0300", "j\u0307\u0300")])
def test_a_locale_with_an_alphabet_of_its_own_is_refused(
    made: Made, monkeypatch: pytest.MonkeyPatch, small: str, theirs: str
) -> None:
    """A Turkish ID1 is ıd1 and not id1. It is said when the source is added, and where it is read all the same.

    The servers of the tests have no such locale: they compare as one that has.
    """
    lower = "pg_catalog.lower(u.large)"
    assert lower in citext._COMPARE
    monkeypatch.setattr(
        citext, "_COMPARE", citext._COMPARE.replace(lower, f"pg_catalog.replace({lower}, '{small}', '{theirs}')")
    )
    driver = made(SIMPLE)
    with pytest.raises(SourceRefused, match="a view whose key is of the type text"):
        describe(driver, "t")
    with pytest.raises(SourceFailed, match="a view whose key is of the type text"):
        find_citext(driver, source("t", {"k": "citext"}, {}))


def test_a_database_whose_locale_is_another_now_is_not_read(made: Made) -> None:
    """Its keys would be others: it is said what to do."""
    with pytest.raises(SourceFailed, match="predictq sources check things"):
        find_citext(made(C), source("t", {"k": "citext"}, {}))


def test_an_encoding_without_most_letters_is_asked_for_its_own(made: Made) -> None:
    """Nothing is sent that it cannot hold."""
    assert look_at_citext(made(LATIN)) == Citext("public", CITEXT_OF_ASCII, "")


def test_keys_without_an_answer_are_counted(made: Made) -> None:
    """Whoever adds such a source learns of them, and what to do."""
    driver = made(FULL)
    filled(driver)
    (note,) = [note for note in describe(driver, "t")["notes"] if "citext" in note]
    assert note.startswith("2 rows have a letter in k, which is citext")
    run(driver, "DELETE FROM t WHERE k::text IN ('İx', 'ΟΔΟΣ')")
    assert not [note for note in describe(driver, "t")["notes"] if "citext" in note]
