"""Roles, capabilities and whose wallet is whose."""

import pytest

from app.domain.access import (
    ANONYMOUS,
    ROLES,
    ActorKind,
    Capability,
    Principal,
    PrincipalKind,
)

# fmt: off
TABLE = {
    #                      admin  manager finance support service
    "WALLETS_READ":        (True,  True,  True,  True,  True),
    "WALLETS_ADJUST":      (True,  True,  False, False, True),
    "WALLETS_FREEZE":      (True,  True,  False, False, False),
    "CUSTOMERS_READ":      (True,  True,  True,  True,  True),
    "CUSTOMERS_WRITE":     (True,  True,  False, False, True),
    "WITHDRAWALS_REQUEST": (True,  True,  False, True,  True),
    "WITHDRAWALS_REVIEW":  (True,  True,  True,  False, False),
    "PAYOUT_METHODS_WRITE": (True, True,  False, False, True),
    "PAYOUT_DETAILS_READ": (True,  True,  True,  False, False),
    "PAYOUTS_RECONCILE":   (True,  True,  True,  False, False),
    "ORDERS_READ":         (True,  True,  True,  True,  True),
    "ORDERS_WRITE":        (True,  True,  False, False, True),
    "EVENTS_WRITE":        (True,  True,  False, False, True),
    "TOP_UPS_WRITE":       (True,  True,  False, False, True),
    "PAYMENTS_WRITE":      (True,  True,  False, False, True),
    "REFUNDS_WRITE":       (True,  True,  False, True,  True),
    "REFUNDS_REDIRECT":    (True,  True,  False, False, True),
    "GIFT_CARDS_READ":     (True,  True,  True,  True,  True),
    "GIFT_CARDS_WRITE":    (True,  True,  False, False, True),
    "GIFT_CARDS_REDEEM":   (True,  True,  False, False, True),
    "PROMOTIONS_READ":     (True,  True,  False, False, False),
    "PROMOTIONS_WRITE":    (True,  True,  False, False, False),
    "COUPONS_REDEEM":      (True,  True,  False, False, True),
    "LEDGER_VERIFY":       (True,  True,  True,  False, False),
    "FRAUD_READ":          (True,  True,  True,  False, False),
    "SETTINGS_READ":       (True,  True,  True,  False, False),
    "SETTINGS_WRITE":      (True,  False, False, False, False),
    "ROLES_READ":          (True,  True,  False, False, False),
    "ROLES_WRITE":         (True,  False, False, False, False),
    "API_KEYS_READ":       (True,  False, False, False, False),
    "API_KEYS_WRITE":      (True,  False, False, False, False),
    "AUDIT_READ":          (True,  True,  True,  False, False),
    "WEBHOOKS_READ":       (True,  True,  False, False, False),
    "WEBHOOKS_REPLAY":     (True,  True,  False, False, False),
    "WEBHOOK_ENDPOINTS_READ":  (True, True, False, False, False),
    "WEBHOOK_ENDPOINTS_WRITE": (True, False, False, False, False),
    "CASHBACK_READ":       (True,  True,  True,  True,  True),
    "CASHBACK_WRITE":      (True,  True,  False, False, False),
}
# fmt: on
NAMES = ("administrator", "shop_manager", "finance", "support", "service")


@pytest.mark.parametrize("name", NAMES)
def test_a_role_grants_exactly_this(name: str) -> None:
    granted = {capability for capability, row in TABLE.items() if row[NAMES.index(name)]}
    assert {str(capability) for capability in ROLES[name]} == granted


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {str(capability) for capability in Capability}
    assert set(ROLES) == {*NAMES, "customer"}
    assert ROLES["customer"] == frozenset()


def test_nobody_may_anything() -> None:
    assert not any(ANONYMOUS.may(capability) for capability in Capability)
    assert not ANONYMOUS.owns("")
    with pytest.raises(ValueError, match="ANONYMOUS"):
        _ = ANONYMOUS.actor


def test_a_wallet_is_owned_by_its_customer_alone() -> None:
    ada = Principal(PrincipalKind.CUSTOMER, "17", customer_external_id="17")
    assert ada.owns("17")
    assert not ada.owns("170")
    assert not ada.owns("")
    clerk = Principal(PrincipalKind.STAFF, "17", capabilities=frozenset(Capability))
    assert not clerk.owns("17")
    assert ada.actor.kind is ActorKind.CUSTOMER
    assert (clerk.actor.kind, clerk.actor.id) == (ActorKind.STAFF, "17")
