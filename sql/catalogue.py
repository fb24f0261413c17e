"""The catalogue of the schema as sorted lines of text, so that two databases, or one and a file, can be compared.

Partitions are left out: they are made as time goes by, and each is as its parent. Lines that begin with `definition`
are digests of how PostgreSQL prints a view or a function, which may differ between its major versions; those in
sql/catalogue.txt are of the embedded one.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, text

CATALOGUE = Path(__file__).parent / "catalogue.txt"

_OURS = "'predictq'::regnamespace"
_RELATIONS = f"""
SELECT c.oid, c.relname AS name, c.relkind AS kind FROM pg_class c
WHERE c.relnamespace = {_OURS} AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
"""
_LINES = text(f"""
WITH relations AS ({_RELATIONS})
SELECT CASE kind WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' WHEN 'p' THEN 'partitioned table ' ELSE 'table ' END
       || name AS line FROM relations
UNION ALL
SELECT format('column %s.%s %s', r.name, a.attname, format_type(a.atttypid, a.atttypmod))
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || CASE a.attidentity WHEN 'a' THEN ' always identity' WHEN 'd' THEN ' default identity' ELSE '' END
       || CASE WHEN a.attstattarget = 0 THEN ' unsampled' ELSE '' END
       || CASE WHEN a.attstorage <> t.typstorage THEN ' storage ' || a.attstorage::text ELSE '' END
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.kind <> 'S'
UNION ALL  -- from PostgreSQL 18 on `not null` is a constraint, too
SELECT format('constraint %s.%s %s', r.name, k.conname, pg_get_constraintdef(k.oid))
FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype <> 'n'
UNION ALL
SELECT format('index %s.%s', r.name, regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX ', '\\1'))
FROM relations r JOIN pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT format('trigger %s.%s %s', r.name, t.tgname,
              regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER \\S+ ', ''))
FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT format('function %s(%s) returns %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
FROM pg_proc p WHERE p.pronamespace = {_OURS}
UNION ALL
SELECT format('definition of function %s(%s) %s', p.proname, pg_get_function_identity_arguments(p.oid),
              md5(pg_get_functiondef(p.oid)))
FROM pg_proc p WHERE p.pronamespace = {_OURS}
UNION ALL
SELECT format('definition of view %s %s', name, md5(pg_get_viewdef(oid))) FROM relations WHERE kind = 'v'
UNION ALL
SELECT format('comment on %s %s', name, obj_description(oid, 'pg_class'))
FROM relations WHERE obj_description(oid, 'pg_class') IS NOT NULL
""")


def read_catalogue(connection: Connection) -> list[str]:
    """The lines that describe the schema of this database, sorted by their characters."""
    # What is printed of a name depends on whether the search path would find it.
    connection.execute(text("SET LOCAL search_path = ''"))
    return sorted(" ".join(line.split()) for line in connection.execute(_LINES).scalars())


def lacking(connection: Connection) -> list[str]:
    """Tables, views and columns, by name, that sql/catalogue.txt has and this database lacks.

    By name alone: how types and defaults are printed may differ between the major versions of PostgreSQL. `kept` is
    left out, which each migration makes anew.
    """
    expected = set(map(_name_of, CATALOGUE.read_text(encoding="utf-8").splitlines())) - {None, "kept"}
    return sorted(name for name in expected - set(connection.execute(_NAMES).scalars()) if name)


def _name_of(line: str) -> str | None:
    """The name of what a line of the catalogue is of; None where it is neither a relation nor a column."""
    found = _NAMED.match(line)
    return found[1] if found else None


_NAMED = re.compile(r"(?:(?:partitioned )?table|view|column) (\S+)")
_NAMES = text(f"""
WITH relations AS ({_RELATIONS})
SELECT name::text FROM relations
UNION ALL
SELECT r.name || '.' || a.attname FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
""")


def differences(found: list[str], expected: list[str]) -> list[str]:
    """What differs: `- line` is missing in the database, `+ line` is more than there should be."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return [f"- {line}" for line in missing] + [f"+ {line}" for line in extra]
