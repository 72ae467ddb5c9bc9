"""Filters and selectors as they come in, made into those of the services."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import strawberry

from app.domain.access import Principal
from app.domain.errors import FieldInvalid
from app.domain.money import currency_of, parse_signed
from app.domain.order import check_id, check_source, order_id
from app.schema.types.enums import Capability
from app.schema.types.money import AmountRange
from app.schema.types.node import decode_id
from app.schema.types.transaction import TransactionFilter
from app.services.cashback.award import AwardFilter as Awards
from app.services.customer import check_external_id
from app.services.ledger.command import WalletRef
from app.services.order import OrderFilter as Orders
from app.services.transaction import ALL as EVERY_TRANSACTION, TransactionFilter as Transactions
from app.services.wallet import WalletFilter as Wallets
from app.services.withdrawal import WithdrawalFilter as Withdrawals

if TYPE_CHECKING:
    from app.schema.types.cashback_award import CashbackAwardFilter
    from app.schema.types.order import OrderFilter, OrderSelector
    from app.schema.types.wallet import WalletFilter, WalletSelector
    from app.schema.types.withdrawal import WithdrawalFilter

LIST_MAX = 50
"""Values in one list of a filter at most."""


def bounds_minor(range_: AmountRange | None, currency: str, field: str) -> tuple[int | None, int | None]:
    """Return a range's bounds in minor units, or raise `FieldInvalid`."""
    if range_ is None:
        return None, None
    known = currency_of(currency)
    low, high = (
        None if text is None else parse_signed(text, known, field=("filter", field, name))
        for name, text in (("min", range_.min), ("max", range_.max))
    )
    return low, high


def texts(values: Sequence[str] | None, field: str) -> tuple[str, ...] | None:
    """Return the values of a list as the services take them, or raise `FieldInvalid`; `field` is written with dots."""
    if values is None:
        return None
    if len(values) > LIST_MAX:
        raise FieldInvalid(f"Send at most {LIST_MAX} values.", field=tuple(field.split(".")))
    return tuple(str(value) for value in values)


def award_filter(given: "CashbackAwardFilter | None") -> Awards:
    """Return the filter of cashback awards."""
    if given is None:
        return Awards()
    rule_id = None
    if given.rule_id is not None:
        rule_id = decode_id(given.rule_id, "CashbackRule", field=("filter", "ruleId"))
    awarded = given.awarded
    return Awards(
        statuses=texts(given.statuses, "filter.statuses"),
        rule_id=rule_id,
        awarded_from=awarded.from_ if awarded else None,
        awarded_to=awarded.to if awarded else None,
    )


def transaction_filter(given: TransactionFilter | None, currency: str, principal: Principal) -> Transactions:
    """Return the filter of transactions."""
    if given is None:
        return EVERY_TRANSACTION
    if given.actor_id is not None and not principal.may(Capability.WALLETS_READ):
        raise FieldInvalid("Only staff can filter by actor. Leave it out.", field=("filter", "actorId"))
    low, high = bounds_minor(given.amount, currency, "amount")
    created = given.created
    return Transactions(
        kinds=texts(given.kinds, "filter.kinds"),
        direction=given.direction,
        buckets=texts(given.buckets, "filter.buckets"),
        created_from=created.from_ if created else None,
        created_to=created.to if created else None,
        actor_id=given.actor_id,
        reasons=texts(given.reasons, "filter.reasons"),
        amount_min_minor=low,
        amount_max_minor=high,
        search=given.search,
    )


def wallet_filter(given: "WalletFilter | None", search: str | None, currency: str) -> Wallets:
    """Return the filter of wallets."""
    if given is None:
        return Wallets(search=search)
    low, high = bounds_minor(given.balance, currency, "balance")
    created, activity, before = given.created, given.last_activity, given.last_activity_before
    return Wallets(
        search=search,
        balance_min_minor=low,
        balance_max_minor=high,
        created_from=created.from_ if created else None,
        created_to=created.to if created else None,
        last_activity_from=activity.from_ if activity else None,
        last_activity_to=activity.to if activity else None,
        last_activity_before=before,
        statuses=texts(given.statuses, "filter.statuses"),
    )


def withdrawal_filter(
    given: "WithdrawalFilter | None", search: str | None, statuses: Sequence[str] | None, currency: str
) -> Withdrawals:
    """Return the filter of withdrawals; `statuses` are those of the list's own argument, of earlier versions."""
    if given is None:
        return Withdrawals(search=search, statuses=texts(statuses, "statuses"))
    if statuses is not None and given.statuses is not None:
        raise FieldInvalid("Give the statuses once, in the filter.", field=("statuses",))
    low, high = bounds_minor(given.amount, currency, "amount")
    requested, wanted = given.requested, given.statuses if statuses is None else statuses
    reference = given.batch_reference
    return Withdrawals(
        statuses=texts(wanted, "statuses" if given.statuses is None else "filter.statuses"),
        methods=_checked(texts(given.methods, "filter.methods"), "filter.methods"),
        amount_min_minor=low,
        amount_max_minor=high,
        requested_from=requested.from_ if requested else None,
        requested_to=requested.to if requested else None,
        batch_reference=None
        if reference is None
        else check_id(reference, field="filter.batchReference").upper(),
        has_problem=given.has_problem,
        search=search,
    )


def _checked(words: tuple[str, ...] | None, field: str) -> tuple[str, ...] | None:
    return None if words is None else tuple(check_id(word, field=field) for word in words)


def wallet_ref(selector: "WalletSelector", *, field: str = "wallet") -> WalletRef:
    """Return what names the wallet, or raise `FieldInvalid` for an id that is none."""
    if selector.id is not strawberry.UNSET and selector.id is not None:
        return WalletRef(wallet_id=decode_id(selector.id, "Wallet", field=(field, "id")))
    if selector.customer_id is not strawberry.UNSET and selector.customer_id is not None:
        return WalletRef(customer_id=decode_id(selector.customer_id, "Customer", field=(field, "customerId")))
    return WalletRef(
        external_id=check_external_id(str(selector.store_customer_id), field=f"{field}.storeCustomerId")
    )


def own_wallet(principal: Principal) -> WalletRef:
    """Return what names the caller's own wallet, or raise `FieldInvalid` for a caller who has none."""
    own = principal.customer_external_id
    if own is None:
        raise FieldInvalid("Name the wallet: you have none of your own.", field=("wallet",))
    return WalletRef(external_id=own)


def order_filter(given: "OrderFilter | None", search: str | None) -> Orders:
    """Return the filter of orders."""
    if given is None:
        return Orders(search=search)
    created = given.created
    return Orders(
        statuses=texts(given.statuses, "filter.statuses"),
        problems=texts(given.problems, "filter.problems"),
        source=given.source,
        subscription=given.subscription,
        has_problem=given.has_problem,
        created_from=created.from_ if created else None,
        created_to=created.to if created else None,
        search=search,
    )


def order_row_id(selector: "OrderSelector", *, field: str = "order") -> UUID:
    """Return the row's id of the order that is named, or raise `FieldInvalid` for an id that is none."""
    if selector.id is not strawberry.UNSET and selector.id is not None:
        return decode_id(selector.id, "Order", field=(field, "id"))
    named = selector.store_order
    if not named:
        raise FieldInvalid("Name the order by its id or by what the store calls it.", field=(field,))
    source = check_source(named.source, field=f"{field}.storeOrder.source")
    return order_id(source, check_id(named.external_id, field=f"{field}.storeOrder.externalId"))
