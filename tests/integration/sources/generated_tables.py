"""Tables as nobody would think of them: columns of all types and names, gaps, keys of each type and their spellings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from tests.integration.sources.source_support import run

SCHEMA = 'gen "1" x'
MOODS = ("glad", "sad", "so, so", 'of "two" minds', "Überdrüssig")
TYPES_OF_MINE = f"""CREATE EXTENSION IF NOT EXISTS citext;
CREATE SCHEMA "gen ""1"" x";
CREATE TYPE "gen ""1"" x".mood AS ENUM ({", ".join(f"'{mood}'" for mood in MOODS)});
CREATE DOMAIN "gen ""1"" x".years AS integer CHECK (VALUE > -1000);
CREATE DOMAIN "gen ""1"" x"."Wörter" AS text;"""

NAMES = [
    "age", "id", "key", "select", "from", "client_id", "model", "Mixed Case", 'quo"te', "o'clock", "dot.ted", "ümläut",
    "名前", "a" * 63, "ü" * 31, "per%cent", "%s", "%(x)s", "back\\slash", " lead", "trail ", "1st", "x{0}", "a,b",
    ":name", "$1", "nan", "null", "true", "probability", "index", "0", "-", "c", "q", "e\u0301", "\U0001f600",
    "ctid2", "__dunder__",
]  # fmt: skip
WORDS = [
    "", "NULL", "\\N", "nan", "None", "a,b", 'quo"te', "back\\slash", "new\nline", "\ttab", "Île-de-France", "日本",
    " lead", "trail ", "O'Neil", "?", "{x}", "0", "1e5", "t", "TRUE", "\u200b", "\U0001f600", "e\u0301", "é", "\\", '"',
    "\r",
]  # fmt: skip
UUIDS = [f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "0123456789abcdef"]


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class ColumnType:
    """A type in SQL, its base type's name, and texts of its values: common ones, and rare ones that are at its edge."""

    sql: str
    base: str
    common: Callable[[random.Random], str]
    rare: Sequence[str] = ()

    @property
    def is_text(self) -> bool:
        """Whether a feature of it is a word."""
        return self.base in ("text", "varchar", "char", "citext", "enum", "uuid")


def _word(most: int) -> Callable[[random.Random], str]:
    words = [word for word in WORDS if len(word) <= most]
    return lambda r: r.choice(words)


def _time(r: random.Random) -> str:
    return (
        f"{r.randint(1900, 2099)}-{r.randint(1, 12):02}-{r.randint(1, 28):02} "
        f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}.{r.randint(0, 999_999):06}"
    )


_ZONES = ("Z", "+05:30", "-08", "+00")
_FAR_DATES = ("infinity", "-infinity", "0044-03-15 BC", "12000-01-01")
TYPES = [
    ColumnType("smallint", "smallint", lambda r: str(r.randint(-50, 300)), ("32767", "-32768")),
    ColumnType("integer", "integer", lambda r: str(r.randint(-1000, 100_000)), ("2147483647", "-2147483648")),
    ColumnType("bigint", "bigint", lambda r: str(r.randint(-1000, 10**9)), (str(2**53 + 1), str(-(2**53)), str(2**53))),
    ColumnType('"gen ""1"" x".years', "integer", lambda r: str(r.randint(0, 120))),
    ColumnType("real", "real", lambda r: f"{r.uniform(-5, 5):.3g}", ("0.64", "-0", "16777216", "1e-30")),
    ColumnType("double precision", "double precision", lambda r: repr(r.gauss(0, 100)),
               ("-0", "1e-300", "NaN", "Infinity")),
    ColumnType("numeric", "numeric", lambda r: f"{r.uniform(-1000, 1000):.{r.randint(0, 9)}f}",
               ("0.1", "123456789012.345678901234", "0.30000000000000004441", "NaN", "5e-20")),
    ColumnType("numeric(12,4)", "numeric", lambda r: f"{r.uniform(0, 9999):.4f}", ("0.0001", "99999999.9999")),
    ColumnType("boolean", "boolean", lambda r: r.choice("tf")),
    ColumnType("text", "text", _word(99)),
    ColumnType("varchar(30)", "varchar", _word(30)),
    ColumnType("char(6)", "char", lambda r: _word(6)(r).rstrip(" ")),
    ColumnType("citext", "citext", lambda r: r.choice(["Abc", "aBC", "xyz", "XYZ", "", "Ä"])),
    ColumnType('"gen ""1"" x".mood', "enum", lambda r: r.choice(MOODS)),
    ColumnType('"gen ""1"" x"."Wörter"', "text", _word(99)),
    ColumnType("uuid", "uuid", lambda r: r.choice(UUIDS[:4])),
    ColumnType("date", "date", lambda r: _time(r)[:10], _FAR_DATES),
    ColumnType("timestamp", "timestamp", _time, _FAR_DATES),
    ColumnType("timestamptz", "timestamptz", lambda r: _time(r) + r.choice(_ZONES), _FAR_DATES),
]  # fmt: skip


def _whole(least: int, most: int) -> Callable[[random.Random, int], list[str]]:
    def distinct(r: random.Random, rows: int) -> list[str]:
        found: dict[int, None] = {}
        while len(found) < rows:
            found[r.randint(least, most)] = None
        return list(map(str, found))

    return distinct


def _odd_words(r: random.Random, rows: int) -> list[str]:
    return [f"{r.choice(WORDS)}{number}{r.choice(WORDS)}" for number in range(rows)]


def _dates(r: random.Random, rows: int) -> list[str]:
    days = [f"{year}-{month:02}-{day:02}" for year in (44, 1999, 2024) for month in (1, 2, 12) for day in range(1, 29)]
    return [("0" * (10 - len(day)) + day) for day in r.sample(days, rows)]


# For each type of a key: its type in SQL, and a number of distinct values, as texts that PostgreSQL reads.
KEYS: dict[str, tuple[str, Callable[[random.Random, int], list[str]]]] = {
    "smallint": ("smallint", _whole(-200, 200)),
    "integer": ("integer", _whole(-(2**31), 2**31)),
    "bigint": ("bigint", _whole(-(2**63) + 1, 2**63 - 1)),
    "numeric": ("numeric", lambda r, rows: [f"{n / 8:.{r.randint(3, 6)}f}" for n in r.sample(range(-999, 999), rows)]),
    "text": ("text", _odd_words),
    "varchar": ("varchar(40)", _odd_words),
    "char": ("char(20)", lambda r, rows: [word.rstrip(" ")[:18] for word in _odd_words(r, rows)]),
    "citext": ("citext", lambda r, rows: [f"{r.choice(['Key', 'kEY'])} {n}" for n in r.sample(range(999), rows)]),
    "uuid": ("uuid", lambda r, rows: [f"{r.getrandbits(128):032x}" for _ in range(rows)]),
    "date": ("date", _dates),
}


def spell(kind: str, canonical: str, r: random.Random) -> Any:
    """A way in which a caller may write a key of this type, as a JSON value."""
    ways: list[Any] = [canonical]
    if kind in ("smallint", "integer", "bigint"):
        number = int(canonical)
        ways = [number, number, canonical, f" {number:+d}", f"{number:05d}"]
    elif kind == "numeric":
        ways += [canonical + ("00" if "." in canonical else ".00"), " " + canonical, f"{canonical}e0"]
    elif kind == "char":
        ways += [canonical + "   "]
    elif kind == "citext":
        ways += [canonical.upper(), canonical.swapcase(), canonical.title()]
    elif kind == "uuid":
        ways += [canonical.upper(), "{" + canonical + "}", canonical.replace("-", "")]
    elif kind == "date":
        ways += [canonical.replace("-", ""), f" {canonical} "]
    return r.choice(ways)


@dataclass(frozen=True)
class MadeColumn:
    """A column of a made table."""

    name: str
    type: ColumnType
    is_required: bool
    share_of_gaps: float


@dataclass(frozen=True)
class Table:
    """A table that is to be made. `seed` draws its values; `place` is what predictq is told to read."""

    name: str
    key: tuple[tuple[str, str], ...]  # name and type
    columns: tuple[MadeColumn, ...]
    rows: int
    seed: int
    place: str = "table"
    edges: float = 0.0  # the share of values that are at the edge of their type
    random: random.Random = field(default_factory=random.Random, compare=False)

    @property
    def relation(self) -> str:
        """What predictq is told to read, in SQL."""
        return f"{quoted(SCHEMA)}.{quoted(self.name)}"

    @property
    def base(self) -> str:
        """The table in which the rows are."""
        return self.relation if self.place == "table" else f"{quoted(SCHEMA)}.base"


_name = st.one_of(
    st.sampled_from(NAMES),
    st.text(st.characters(exclude_categories=["Cs", "Cn", "Cc", "Zl", "Zp"]), min_size=1, max_size=20),
).filter(lambda name: len(name.encode()) <= 63)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table with a key and a few columns."""
    several = st.lists(st.sampled_from(sorted(KEYS)), min_size=2, max_size=3)
    kinds = draw(st.one_of(st.sampled_from([[kind] for kind in KEYS]), several))
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=6))
    count = len(kinds) + len(types)
    names = draw(st.lists(_name, min_size=count, max_size=count, unique=True))
    columns = tuple(
        MadeColumn(name, kind, draw(st.booleans()), draw(st.sampled_from([0.0, 0.1, 0.4])))
        for name, kind in zip(names[len(kinds) :], types, strict=False)
    )
    seed = draw(st.integers(0, 2**32))
    return Table(
        name=draw(_name.filter(lambda name: name != "base")),
        key=tuple(zip(names, kinds, strict=False)),
        columns=columns,
        rows=draw(st.sampled_from([20, 40, 70])),  # small pages and large ones
        seed=seed,
        place=draw(st.sampled_from(["table", "table", "view"])),
        edges=draw(st.sampled_from([0.0, 0.0, 0.03])),
        random=random.Random(seed),
    )


def make(driver: PsycopgConnection, table: Table) -> None:
    """Make the table with its rows, and the view on it."""
    r = table.random
    names = [name for name, _ in table.key] + [column.name for column in table.columns]
    types = [KEYS[kind][0] for _, kind in table.key] + [column.type.sql for column in table.columns]
    required = [True] * len(table.key) + [column.is_required for column in table.columns]
    defined = [
        f"{quoted(name)} {kind} {'NOT NULL' if is_required else ''}"
        for name, kind, is_required in zip(names, types, required, strict=True)
    ]
    primary = ", ".join(quoted(name) for name, _ in table.key)
    run(driver, f"CREATE TABLE {table.base} ({', '.join(defined)}, PRIMARY KEY ({primary}))")
    keys = [KEYS[kind][1](r, table.rows) for _, kind in table.key]
    if len(keys) > 1:  # only together are they distinct
        keys[0] = [r.choice(keys[0][:4]) for _ in keys[0]]
    values = [_values(column, table, r) for column in table.columns]
    marks = ", ".join(["%s"] * len(names))
    listed = ", ".join(map(quoted, names)).replace("%", "%%")
    for row in zip(*keys, *values, strict=True):
        run(driver, f"INSERT INTO {table.base.replace('%', '%%')} ({listed}) VALUES ({marks})", *row)
    if table.place == "view":
        run(driver, f"CREATE VIEW {table.relation} AS SELECT * FROM {table.base}")


def _values(column: MadeColumn, table: Table, r: random.Random) -> list[str | None]:
    common = [column.type.common(r) for _ in range(4 if column.type.is_text else table.rows)]
    values: list[str | None] = [r.choice(common) if column.type.is_text else common[row] for row in range(table.rows)]
    for row in range(table.rows):
        if column.type.rare and r.random() < table.edges:
            values[row] = r.choice(column.type.rare)
        if not column.is_required and r.random() < column.share_of_gaps:
            values[row] = None
    return values


def drop(driver: PsycopgConnection, table: Table) -> None:
    """Take the table away again."""
    run(driver, f"DROP TABLE IF EXISTS {table.base} CASCADE")


@st.composite
def filters(draw: st.DrawFn) -> list[tuple[float, str, int]]:
    """What a filter compares, to be made of the values of a table: where a column is in the list of columns, how, and
    which of its values it is compared with.
    """
    how = st.sampled_from(["equal", "list", "null", "range", "below"])
    return draw(st.lists(st.tuples(st.floats(0, 0.999), how, st.integers(0, 1000)), min_size=1, max_size=2))
