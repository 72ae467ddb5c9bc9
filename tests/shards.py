"""What docs/scale.md says of a database that is spread over machines, made from the code: python -m tests.shards writes it.

A statement is told by its text: which tables it names, and which column its condition goes by. That is what a distributed
planner (such as Citus's router) goes by too; a simulation, for want of one here.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from app.services.ledger.distribution import DISTRIBUTION, Place, Placement

DOCUMENT = Path(__file__).parent.parent / "docs" / "scale.md"


class Way(StrEnum):
    """How far a statement goes."""

    SHARD = "the shards of its wallets"
    NAMED = "the shards of its wallets, once the wallet stands in its condition"
    OWN = "the shards of its own keys"
    EVERYWHERE = "any machine: everywhere the same"
    EVERY = "every machine: everywhere the same, so all are told"
    FAN_OUT = "all shards"


_STEP = r"(?:assumed|locked|w\d+) AS (?:MATERIALIZED )?\("


def parts(sql: str) -> list[str]:
    """Take the writer's one statement for all its writes to pieces; any other is one piece."""
    if not sql.startswith(("WITH w0 AS", "WITH locked AS")):
        return [sql]
    body = sql[len("WITH ") : re.search(r"\) SELECT (?:pg_notify|holds,)", sql).start()]  # type: ignore[union-attr]
    pieces = re.split(rf", (?={_STEP})", body)
    return [re.sub(rf"^{_STEP}\s*", "", piece).strip().rstrip(")") for piece in pieces]


def tables(part: str) -> list[str]:
    """The tables that a statement names, in their order."""
    found = re.findall(r"(?:FROM|JOIN|INTO|UPDATE) \(?\s*\"?([a-z_]+)\"?", part)
    return list(dict.fromkeys(name for name in found if name in DISTRIBUTION))


def way(part: str) -> Way:
    """How far a statement goes."""
    places = [DISTRIBUTION[name] for name in tables(part)]
    spread = [place for place in places if place.placement is not Placement.REFERENCE]
    if not spread:
        return Way.EVERYWHERE if part.startswith("SELECT") and "FOR UPDATE" not in part else Way.EVERY
    if all(place.placement is Placement.OWN for place in spread):
        return (
            Way.OWN
            if _inserts(part) or all(_goes_by(part, place.column) for place in spread)
            else Way.FAN_OUT
        )
    if any(place.placement is Placement.OWN for place in spread):
        return Way.FAN_OUT
    if not _inserts(part) and _goes_by(part, "external_id"):
        return Way.FAN_OUT
    if _inserts(part) or any(_goes_by(part, place.column) for place in _columns(part, spread)):
        return Way.SHARD
    return Way.NAMED if _goes_by(part, r"(?:id|hold_id|lot_id|order_id|scope)") else Way.FAN_OUT


def _columns(part: str, spread: Iterable[Place]) -> Iterator[Place]:
    # The wallets' own id decides only where the wallets are asked; elsewhere an id is the row's.
    only_wallets = tables(part) == ["wallets"]
    yield from (place for place in spread if only_wallets or place.column != "id")


def _inserts(part: str) -> bool:
    return part.startswith("INSERT")


def _goes_by(part: str, column: str) -> bool:
    return re.search(rf"(?:WHERE|AND|ON) (?:\w+\.)?{column} (?:=|IN)", part) is not None


def shape(part: str) -> str:
    """What a statement does, in a word and its tables."""
    verb = part.split(maxsplit=1)[0]
    lock = ", locked" if re.search(r"FOR (?:NO KEY )?UPDATE", part) else ""
    by = re.search(r"WHERE (?:\w+\.)?(\w+) (?:=|IN)", part)
    return f"{verb} {', '.join(f'`{name}`' for name in tables(part))}{f' by `{by[1]}`' if by else ''}{lock}"


def placements() -> str:
    """The table of tables."""
    lines = ["| Table | Spread | Key | |", "|---|---|---|---|"]
    for name, place in sorted(DISTRIBUTION.items()):
        key = f"`{place.column}`{' (to be added)' if place.is_missing else ''}" if place.column else ""
        lines.append(f"| `{name}` | {place.placement} | {key} | {place.remark} |")
    return "\n".join(lines) + "\n"


def statements(sent: Iterable[str]) -> str:
    """The table of statements."""
    found = {(way(part), shape(part)) for sql in sent for part in parts(sql) if tables(part)}
    order = list(Way)
    lines = ["| What the writer asks | Goes to |", "|---|---|"]
    for where, what in sorted(found, key=lambda pair: (order.index(pair[0]), pair[1])):
        lines.append(f"| {what} | {where} |")
    return "\n".join(lines) + "\n"


def between(text: str, name: str) -> str:
    """What stands between a table's marks."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, f"docs/scale.md has no marks for {name}"
    return found[1]


def put(text: str, name: str, table: str) -> str:
    """Put a table between its marks."""
    start = text.index(f"<!-- {name} -->\n") + len(f"<!-- {name} -->\n")
    return text[:start] + table + text[start + len(between(text, name)) :]


if __name__ == "__main__":
    DOCUMENT.write_text(put(DOCUMENT.read_text("utf-8"), "placements", placements()), "utf-8")
