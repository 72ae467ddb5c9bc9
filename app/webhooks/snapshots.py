"""What all doors do with an order's snapshot before they hand it over."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from app.domain.errors import DomainError
from app.domain.order import AHEAD_MAX, CATEGORIES_MAX, OrderSnapshot, check_snapshot
from app.webhooks.document import Node
from app.webhooks.errors import Untranslatable

_REFERENCE = re.compile(r"\bRF(?:-[0-9A-Z]{4}){3}\b", re.ASCII)


def checked(snapshot: OrderSnapshot, order: Node) -> OrderSnapshot:
    """Return the snapshot as it is kept, or raise `Untranslatable`."""
    try:
        return check_snapshot(snapshot)
    except DomainError as error:
        path = ".".join(part for part in (order.path, *error.field) if part)
        raise Untranslatable(error.message, path=path) from None


def modified_at(time: Node, received_at: datetime) -> datetime:
    """Return when something was changed by the store's clock; where it doesn't say, when we heard of it.

    A time far in the future is refused: nothing that comes later would ever count as newer.
    """
    if time.is_absent:
        return received_at
    found = time.time()
    if found - received_at > AHEAD_MAX:
        time.refuse(f"{found.isoformat()} lies in the future. Check the store's clock.")
    return found


def refund_reference(*texts: str) -> str | None:
    """Return Coffer's own number of a refund, such as `RF-7K3M-92QD-XA4P`, where one of the texts has it."""
    found = (_REFERENCE.search(text) for text in texts)
    return next((match.group() for match in found if match is not None), None)


def with_categories(snapshot: OrderSnapshot, categories: Mapping[str, Sequence[str]]) -> OrderSnapshot:
    """Return the snapshot with the categories of its products, looked up by the product's id.

    Lines that name categories themselves keep them.
    """
    lines = tuple(
        replace(line, categories=tuple(categories.get(line.product_id or "", ()))[:CATEGORIES_MAX])
        if not line.categories
        else line
        for line in snapshot.lines
    )
    return replace(snapshot, lines=lines)
