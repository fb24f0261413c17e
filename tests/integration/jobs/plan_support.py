"""Looking at plans: the nodes that PostgreSQL chooses for what a function asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from shared.postgres.engine import transaction

Node = dict[str, Any]
_FEW = 20  # rows: what fits on a page or two is best read as a whole


def plans_of(engine: Engine, ask: Callable[[Connection], object]) -> list[list[Node]]:
    """The nodes of the plan of each statement that `ask` sends, in order."""
    with transaction(engine) as connection:
        return [_nodes(plan) for plan in _plans(connection, ask)]


def blocks_of(engine: Engine, ask: Callable[[Connection], object]) -> int:
    """How many blocks PostgreSQL looks at for what `ask` sends, once it has planned it: inside of functions, too."""
    with transaction(engine) as connection:
        plans = _plans(connection, ask, "BUFFERS, ")
        return sum(int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]) for plan in plans)


def plan_of(engine: Engine, statement: str, **values: Any) -> list[Node]:
    """The nodes of the plan of one statement, as it was run."""
    (nodes,) = plans_of(engine, lambda connection: connection.execute(text(statement), values))
    return nodes


def _plans(connection: Connection, ask: Callable[[Connection], object], options: str = "") -> list[Node]:
    """The plan of each statement that `ask` sends, in order, as it was run once more."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, _context: object, _many: bool) -> None:
        seen.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    ask(connection)
    event.remove(connection, "before_cursor_execute", note)
    found = []
    for statement, values in seen:
        explained = f"EXPLAIN (ANALYZE, {options}FORMAT JSON) {statement}"
        (plan,) = connection.exec_driver_sql(explained, values).scalar_one()
        found.append(plan["Plan"])
    return found


def _nodes(plan: Node) -> list[Node]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


def scanned_whole(nodes: list[Node]) -> set[str]:
    """The tables of more than a few rows that a plan read from end to end."""
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan" and _rows(node) > _FEW}


def rows_of(nodes: list[Node], table: str) -> int:
    """How many rows a plan read out of a table or its partitions, those that it left again included."""
    return int(sum(_rows(node) for node in nodes if str(node.get("Relation Name", "")).startswith(table)))


def _rows(node: Node) -> float:
    return float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
