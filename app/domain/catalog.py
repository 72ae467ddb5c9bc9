"""What is known of the store's products and coupons: names and categories, which order lines often lack."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from app.domain.delivery import printable
from app.domain.order import CATEGORIES_MAX, ID_MAX, TEXT_MAX

_NAMESPACE = UUID("5d1f6a0c-95a7-5b59-9a0e-3f0f6c1f8c4e")


class CatalogKind(StrEnum):
    """What sort of thing it is."""

    PRODUCT = "PRODUCT"
    """Something that the store sells."""
    COUPON = "COUPON"
    """A code that takes something off an order."""


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """A product or a coupon as the store saw it at `modified_at`. `code` is a product's SKU, or what a coupon's user types.

    A deleted one keeps its name and categories: orders that hold it are still told of.
    """

    id: UUID
    source: str
    kind: CatalogKind
    external_id: str
    name: str
    code: str | None
    categories: tuple[str, ...]
    modified_at: datetime
    deleted_at: datetime | None

    def seen(self, newer: "CatalogItem") -> "CatalogItem":
        """Return which of two counts; of two of the same moment, the one that came last."""
        if newer.modified_at < self.modified_at:
            return self
        if newer.deleted_at is None:
            return newer
        # Who deletes tells no more than the id.
        return replace(self, modified_at=newer.modified_at, deleted_at=newer.deleted_at)


def catalog_id(source: str, kind: CatalogKind, external_id: str) -> UUID:
    """Return the id of a product or coupon, which follows from the store's."""
    return uuid5(_NAMESPACE, f"{source}\n{kind}\n{external_id}")


def catalog_item(
    source: str,
    kind: CatalogKind,
    external_id: str,
    *,
    modified_at: datetime,
    deleted: bool = False,
    name: str = "",
    code: str | None = None,
    categories: tuple[str, ...] = (),
) -> CatalogItem:
    """Return a product or coupon as it is kept: texts cut rather than refused."""
    external_id = printable(external_id, ID_MAX)
    return CatalogItem(
        id=catalog_id(source, kind, external_id),
        source=source,
        kind=kind,
        external_id=external_id,
        name=printable(name, TEXT_MAX),
        code=None if code is None else printable(code, TEXT_MAX) or None,
        categories=tuple(printable(category, TEXT_MAX) for category in categories[:CATEGORIES_MAX]),
        modified_at=modified_at,
        deleted_at=modified_at if deleted else None,
    )
