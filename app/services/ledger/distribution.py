"""Where each table's rows lie when the database is spread over machines, sharded by wallet: docs/scale.md.

Nothing runs by it today: one PostgreSQL goes far. It is kept in code so that no table is forgotten, and so that tests can tell
which of the writer's statements stay on one machine.
"""

from dataclasses import dataclass
from enum import StrEnum


class Placement(StrEnum):
    """How a table's rows are spread."""

    WALLET = "by wallet"
    """On the shard of its wallet: one batch of one wallet touches no other machine."""
    OWN = "by its own key"
    """Spread by another key, because it belongs to no wallet, or not from its beginning."""
    REFERENCE = "everywhere"
    """The same rows on every machine: few, read often, rarely changed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A table's placement, the column that decides (`is_missing` while it must be added), and what is to be known."""

    placement: Placement
    column: str = ""
    is_missing: bool = False
    remark: str = ""


def _wallet(remark: str = "") -> Place:
    return Place(Placement.WALLET, "wallet_id", remark=remark)


def _through(parent: str) -> Place:
    return Place(Placement.WALLET, "wallet_id", is_missing=True, remark=f"copied from its {parent}")


def _own(column: str, remark: str) -> Place:
    return Place(Placement.OWN, column, remark=remark)


def _everywhere(remark: str) -> Place:
    return Place(Placement.REFERENCE, remark=remark)


DISTRIBUTION: dict[str, Place] = {
    "wallets": Place(Placement.WALLET, "id"),
    "customers": Place(
        Placement.WALLET, "wallet_id", is_missing=True, remark="a customer has one wallet, made with it"
    ),
    "lots": _wallet(),
    "transactions": _wallet(),
    "allocations": _through("transaction"),
    "holds": _wallet(),
    "reservations": _through("hold"),
    "idempotency_keys": Place(
        Placement.WALLET,
        "wallet_id",
        is_missing=True,
        remark="a key is then one wallet's; commands without a wallet get a fixed one",
    ),
    "payments": _wallet("never a guest's"),
    "refunds": _wallet("of a guest's order it is nobody's: a fixed wallet stands for that"),
    "renewals": _wallet("may pass to another wallet: a delete and an insert then"),
    "withdrawals": _wallet(),
    "withdrawal_steps": _wallet(),
    "payout_methods": _wallet(),
    "cashback_awards": _wallet(),
    "cashback_evaluations": _wallet(),
    "celebrations": _wallet(),
    "coupon_redemptions": _wallet(),
    "expiry_reminders": _wallet(),
    "store_events": _wallet(),
    "top_ups": _wallet(),
    "top_up_intents": _wallet(),
    "auto_top_ups": _wallet(),
    "auto_top_up_charges": _wallet(),
    "outbox_events": _wallet("of none: the fixed wallet"),
    "audit_entries": _wallet("of none: the fixed wallet"),
    "signals": _wallet("of none: the fixed wallet"),
    "orders": _own(
        "id", "a guest's order has no wallet, and may be claimed later; its id follows from the store's"
    ),
    "gift_cards": _own("id", "nobody's until it is redeemed"),
    "gift_card_entries": _own("card_id", "with its card"),
    "deliveries": _own("id", "known before anybody knows whom it is about"),
    "delivery_bodies": _own("delivery_id", "with its delivery"),
    "outbox_messages": _own("id", "found by whoever sends, whomever it is about"),
    "outbox_attempts": _own("message_id", "with its message"),
    "payout_messages": _own("id", "the provider names its own reference"),
    "coupon_codes": _own("id", "of a million codes each is used alone; its id follows from the code"),
    "promotion_uses": _own("id", "its id follows from promotion and customer"),
    "cashback_totals": _own("id", "a counter account: one row for each rule, on one machine"),
    "sync_cursors": _everywhere("a handful"),
    "settings_versions": _everywhere("changed by hand"),
    "roles": _everywhere("changed by hand"),
    "api_keys": _everywhere("read with every request of a service"),
    "cashback_rules": _everywhere("changed by hand"),
    "cashback_rule_versions": _everywhere("changed by hand"),
    "promotions": _everywhere("its counters (`uses`, `granted_minor`) change with each coupon: see below"),
    "catalog_items": _everywhere("the store's products and categories"),
    "webhook_endpoints": _everywhere("changed by hand"),
}
"""Every table, by its name."""
