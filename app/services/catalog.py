"""The store's products and coupons: told by its webhooks, asked for the categories that order lines lack."""

from collections.abc import Collection
from dataclasses import replace

from app.domain.access import Actor
from app.domain.catalog import CatalogItem, CatalogKind, catalog_id
from app.domain.ledger import Desk
from app.domain.order import OrderSnapshot
from app.models.catalog import CatalogItem as CatalogItemModel
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer


async def remember(writer: Writer, actor: Actor, item: CatalogItem) -> None:
    """Keep what the store told of a product or coupon; what is older than what is known changes nothing."""

    def decide(desk: Desk) -> None:
        known = desk.found(CatalogItem, item.id)
        kept = item if known is None else known.seen(item)
        if kept != known:
            desk.add(kept)

    rows = ((CatalogItem, item.id),)
    await writer.submit(DeskCommand("rememberCatalogItem", actor, decide, rows=rows, repeatable=True))


async def categories_of(source: str, product_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the categories of the products that are known, by the store's ids; one statement."""
    ids = [catalog_id(source, CatalogKind.PRODUCT, product_id) for product_id in product_ids]
    if not ids:
        return {}
    rows = await CatalogItemModel.filter(id__in=ids)
    return {row.external_id: tuple(row.categories) for row in rows}


async def with_categories(snapshot: OrderSnapshot) -> OrderSnapshot:
    """Return the order with the categories of those lines that name none."""
    wanted = {line.product_id for line in snapshot.lines if line.product_id and not line.categories}
    known = await categories_of(snapshot.source, wanted)
    if not known:
        return snapshot
    lines = tuple(
        line if line.categories else replace(line, categories=known.get(line.product_id or "", ()))
        for line in snapshot.lines
    )
    return replace(snapshot, lines=lines)
