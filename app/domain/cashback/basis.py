"""Which amount of an occasion a rule is about: the lines that match, less what the wallet paid and coupons grant."""

from decimal import Decimal
from typing import NamedTuple

from app.domain.cashback.condition import Base, LineFilter
from app.domain.cashback.occasion import Occasion
from app.domain.cashback.share import Rounding, rounded, shares
from app.domain.order import OrderLine


class Part(NamedTuple):
    """A line of the order, or what is not a line (no `line_id`): shipping, or an order that came without its lines.

    `worth_minor` is what refunds of it are measured against: its price after discounts, with tax. The quantity is
    `pieces` / `pieces_per_unit` (2.5 kg: 5 / 2), of which `units` are whole.
    """

    line_id: str | None
    worth_minor: int
    units: int = 1
    pieces: int = 1
    pieces_per_unit: int = 1

    @classmethod
    def of(cls, line: OrderLine) -> "Part":
        """Return a line of the order. What has no quantity is no unit."""
        quantity = max(Decimal(0), line.quantity)
        return cls(line.id, line.total_minor + line.tax_minor, int(quantity), *quantity.as_integer_ratio())


class Basis(NamedTuple):
    """A base, worked out, in minor units: `amount_minor` = `gross_minor` - `deducted_minor`.

    Deducted is the same part of it that the wallet paid, and coupons grant, of the order's total. `amounts` are those
    of the parts, which add up to the amount.
    """

    gross_minor: int
    deducted_minor: int
    amount_minor: int
    parts: tuple[Part, ...]
    amounts: tuple[int, ...]


_ALL = LineFilter()


class Bases:
    """All bases of one occasion: each is worked out once, however many rules share it."""

    def __init__(self, occasion: Occasion) -> None:
        self._occasion = occasion
        order = occasion.order
        self.lines: tuple[OrderLine, ...] = order.lines if order else ()
        self._gross: dict[tuple[bool, bool], list[int]] = {}
        # A rule asks several times with the same object, and objects are quicker to tell apart than their contents.
        # Each stands beside what was found for it, so that none goes and leaves its identity to another.
        self._places: dict[int, tuple[LineFilter, tuple[int, ...]]] = {}
        self._equal: dict[LineFilter, tuple[int, ...]] = {}
        self._of: dict[tuple[int, int], tuple[Base, LineFilter, Basis]] = {}
        self._found: dict[tuple[Base, tuple[int, ...], bool], Basis] = {}
        self._parts = [Part.of(line) for line in self.lines]
        self._named: dict[str, dict[str, set[int]]] | None = None

    def places(self, wanted: LineFilter) -> tuple[int, ...]:
        """Return which lines a filter lets through, by their places."""
        known = self._places.get(id(wanted))
        if known is not None:
            return known[1]
        found = self._equal.get(wanted)
        if found is None:
            found = self._equal[wanted] = self._filtered(wanted)
        self._places[id(wanted)] = (wanted, found)
        return found

    def _filtered(self, wanted: LineFilter) -> tuple[int, ...]:
        named = self._by_name()
        kept = set(range(len(self.lines)))
        if wanted.categories_in or wanted.products_in or wanted.skus_in:
            kept = _hits(named["category"], wanted.categories_in)
            kept |= _hits(named["product"], wanted.products_in) | _hits(named["sku"], wanted.skus_in)
        kept -= _hits(named["category"], wanted.categories_out)
        kept -= _hits(named["product"], wanted.products_out) | _hits(named["sku"], wanted.skus_out)
        if wanted.sale_out:
            on_sale = self._occasion.on_sale
            kept = {place for place in kept if self.lines[place].id not in on_sale}
        if wanted.couponed_out:
            # What a coupon took off is all that stores tell by line: a price after discounts below the one before.
            kept = {
                place for place in kept if self.lines[place].total_minor >= self.lines[place].subtotal_minor
            }
        return tuple(sorted(kept))

    def _by_name(self) -> dict[str, dict[str, set[int]]]:
        if self._named is None:
            named: dict[str, dict[str, set[int]]] = {"category": {}, "product": {}, "sku": {}}
            for place, line in enumerate(self.lines):
                for category in line.categories:
                    named["category"].setdefault(category, set()).add(place)
                for product in (line.product_id, line.variation_id):
                    if product is not None:
                        named["product"].setdefault(product, set()).add(place)
                if line.sku is not None:
                    named["sku"].setdefault(line.sku, set()).add(place)
            self._named = named
        return self._named

    def of(self, base: Base, wanted: LineFilter = _ALL) -> Basis:
        """Return the base of the lines that a filter lets through."""
        same = (id(base), id(wanted))
        known = self._of.get(same)
        if known is not None:
            return known[2]
        places = self.places(wanted)
        everything = wanted == _ALL
        key = (base, places, everything)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._worked_out(base, places, everything=everything)
        self._of[same] = (base, wanted, found)
        return found

    def _worked_out(self, base: Base, places: tuple[int, ...], *, everything: bool) -> Basis:
        order = self._occasion.order
        if order is None:
            amount = self._occasion.amount_minor
            return Basis(amount, 0, amount, (Part(None, amount),), (amount,))
        if not self.lines:
            # Some stores tell of an order without its lines: then it is one piece, in no category.
            return self._whole(base) if everything else Basis(0, 0, 0, (), ())
        gross_all = self._line_amounts(base)
        parts = [self._parts[place] for place in places]
        gross = [gross_all[place] for place in places]
        if base.shipping and places:
            parts.append(Part(None, order.shipping_minor))
            gross.append(order.shipping_minor)
        return self._less_deducted(base, tuple(parts), gross)

    def _whole(self, base: Base) -> Basis:
        order = self._occasion.order
        assert order is not None  # noqa: S101 — the caller looked
        gross = order.total_minor
        gross -= 0 if base.tax else order.tax_minor
        gross -= 0 if base.shipping else order.shipping_minor
        gross += order.discount_minor if base.before_discounts else 0
        return self._less_deducted(base, (Part(None, order.total_minor),), [max(0, gross)])

    def _line_amounts(self, base: Base) -> list[int]:
        key = (base.tax, base.before_discounts)
        found = self._gross.get(key)
        if found is None:
            found = self._gross[key] = [
                (line.subtotal_minor if base.before_discounts else line.total_minor)
                + (line.tax_minor if base.tax else 0)
                for line in self.lines
            ]
        return found

    def _less_deducted(self, base: Base, parts: tuple[Part, ...], amounts: list[int]) -> Basis:
        occasion, gross = self._occasion, sum(amounts)
        paid = 0 if base.wallet_paid else occasion.wallet_paid_minor
        paid += sum(grant.amount_minor for grant in occasion.grants)
        total = occasion.amount_minor
        if not paid or not gross:
            return Basis(gross, 0, gross, parts, tuple(amounts))
        if paid >= total:
            return Basis(gross, gross, 0, parts, (0,) * len(amounts))
        # The wallet pays for an order and not for a line of it, so every line bears the same part.
        deducted = rounded(gross * paid, total, Rounding.HALF_UP)
        less = shares(deducted, amounts)
        net = tuple(amount - part for amount, part in zip(amounts, less, strict=True))
        return Basis(gross, deducted, gross - deducted, parts, net)


def _hits(named: dict[str, set[int]], wanted: frozenset[str]) -> set[int]:
    found: set[int] = set()
    # Whichever is shorter is walked: a rule names up to 200 categories, an order has a few.
    for name in wanted if len(wanted) <= len(named) else named.keys() & wanted:
        found |= named.get(name, set())
    return found
