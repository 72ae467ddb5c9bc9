"""Every mutation: how it is asked rightly, who may, and each refusal that it can give."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.access import Actor, ActorKind
from app.jobs import work_off
from app.schema.types.node import encode_id
from app.services.gift_card import IssueRequest, issue
from tests.api.store import (
    ADMINISTRATOR,
    NOTE,
    SERVICE,
    SUPPORT,
    WHY,
    Caller,
    JsonObject,
    Store,
    fresh,
    named,
)

NOBODY = UUID("0199aaaa-0000-7000-8000-000000000000")
TOO_LONG = "x" * 1001


@dataclass
class Scene:
    """A request that would be granted, and the customer whom it is about."""

    input: JsonObject
    customer: JsonObject = field(default_factory=dict)
    caller: Caller = ADMINISTRATOR


Change = Callable[[Store, Scene], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """What is done to a scene, and the refusal that follows."""

    name: str
    code: str
    path: tuple[str, ...]
    change: Change


@dataclass(frozen=True)
class Mutation:
    """One mutation. `may` names the staff who are served; `owner` says what the wallet's customer gets, and
    `others` what everybody gets who is signed in and not served: a top-level code, or one of a refusal."""

    name: str
    prepare: Callable[[Store], Awaitable[Scene]]
    may: frozenset[str]
    other_input: JsonObject
    refusals: tuple[Refusal, ...]
    owner: str = "FORBIDDEN"
    others: str = "FORBIDDEN"


# --- changes ------------------------------------------------------------------------------------------------


def sends(**changes: Any) -> Change:
    """Other values in the input."""

    async def change(_store: Store, scene: Scene) -> None:
        scene.input.update(changes)

    return change


def sends_amount(amount: str, currency: str = "USD", *, name: str = "amount") -> Change:
    """Another amount."""
    return sends(**{name: {"amount": amount, "currency": currency}})


def sends_list(text: str) -> Change:
    """A list of gift cards in place of an amount."""

    async def change(_store: Store, scene: Scene) -> None:
        del scene.input["amount"], scene.input["count"]
        scene.input["csv"] = text

    return change


def refused(name: str, code: str, path: str, change: Change) -> Refusal:
    """A refusal; the path is written with dots."""
    return Refusal(name, code, tuple(path.split(".")), change)


def ago(**time: float) -> str:
    """A time in the past (or, negative, in the future), as the API writes it."""
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


async def by_oneself(_store: Store, scene: Scene) -> None:
    """The same, asked by staff whose own wallet it is."""
    scene.caller = Caller(scene.customer["storeCustomerId"], ("administrator",))


async def of_a_stranger(_store: Store, scene: Scene) -> None:
    """The same, asked by another customer."""
    scene.caller = Caller(fresh("stranger"))


async def frozen(store: Store, scene: Scene) -> None:
    """The wallet was stopped before."""
    await store.freeze(scene.customer)


async def let_go(store: Store, scene: Scene) -> None:
    """Somebody let the wallet go before."""
    await store.done(
        "unfreezeWallet", {"wallet": scene.input["wallet"], "note": "It was the customer after all"}
    )


async def debits_too_much(store: Store, scene: Scene) -> None:
    """One cent more than there is."""
    scene.input.update(direction="DEBIT", amount=store.money("100.01"))


async def debits_other_value(store: Store, scene: Scene) -> None:
    """There is enough, but of another kind."""
    scene.input.update(direction="DEBIT", amount=store.money("5.00"), bucket="GIFT_CARD")


async def debits_what_is_held(store: Store, scene: Scene) -> None:
    """There is enough, but some of it is promised."""
    await store.withdrawal(scene.customer, "60.00")
    scene.input.update(direction="DEBIT", amount=store.money("40.01"))


async def fills_the_wallet(store: Store, scene: Scene) -> None:
    """The wallet holds nearly as much as a wallet can."""
    for _ in range(9):
        await store.adjust(scene.customer, "10000000000000.00")
    scene.input["amount"] = store.money("10000000000000.00")


async def corrects_another_wallets(store: Store, scene: Scene) -> None:
    """The transaction to correct is a stranger's."""
    scene.input["corrects"] = (await store.funded())["transaction"]["id"]


async def opens_a_wallet_to_correct_anothers(store: Store, scene: Scene) -> None:
    """The transaction to correct is a stranger's, and the wallet isn't there yet."""
    await corrects_another_wallets(store, scene)
    scene.input["wallet"] = {"storeCustomerId": fresh("new")}


async def wants_promo(store: Store, scene: Scene) -> None:
    """Most of what is there can't be paid out."""
    await store.adjust(scene.customer, "50.00", bucket="PROMO")
    scene.input["amount"] = store.money("100.01")


async def wants_it_twice(store: Store, scene: Scene) -> None:
    """All of it was asked for already."""
    await store.withdrawal(scene.customer, "100.00")


async def has_no_wallet(_store: Store, scene: Scene) -> None:
    """The caller is not known as a customer, and names no wallet."""
    scene.caller = Caller(fresh("newcomer"))
    del scene.input["wallet"]


def ended_by(mutation: str, **more: str) -> Change:
    """Somebody ended the withdrawal before."""

    async def change(store: Store, scene: Scene) -> None:
        input_ = {"withdrawalId": scene.input["withdrawalId"], "idempotencyKey": fresh("key")}
        await store.done(mutation, {**input_, **more}, ADMINISTRATOR)

    return change


def sends_euros(*names: str) -> Change:
    """All of these amounts in another currency."""
    return sends(**{name: {"amount": "5.00", "currency": "EUR"} for name in names})


async def a_stranger_topped_up(store: Store, scene: Scene) -> None:
    """The store told of the same top-up for another customer before."""
    other = {"storeCustomerId": (await store.customer())["storeCustomerId"]}
    await store.done("recordTopUp", {**scene.input, "wallet": other, "idempotencyKey": fresh("key")})


async def tells_of_oneself(_store: Store, scene: Scene) -> None:
    """Staff who are customers too give themselves a birthday."""
    scene.caller = Caller(scene.input["storeCustomerId"], ("administrator",))
    scene.input["birthday"] = "1990-05-17"


async def a_payout_method(store: Store) -> Scene:
    customer = await store.customer()
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "kind": "BANK_IBAN",
        "label": "Giro",
        "details": {"holder": "Ada King", "iban": "DE89 3704 0044 0532 0130 00"},
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_payout_method_to_remove(store: Store) -> Scene:
    customer = await store.customer()
    method = await store.payout_method(customer)
    return Scene({"payoutMethodId": method["id"], "idempotencyKey": fresh("key")}, customer)


async def a_payout_method_to_read(store: Store) -> Scene:
    scene = await a_payout_method_to_remove(store)
    scene.input["note"] = "To pay withdrawal WD-1 by hand"
    return scene


async def has_ten_of_them(store: Store, scene: Scene) -> None:
    """The wallet has as many payout methods as there may be."""
    for _ in range(10):
        await store.payout_method(scene.customer)


async def to_a_new_method(store: Store, scene: Scene) -> None:
    """The payout method's waiting time is not over."""
    scene.input["payoutMethodId"] = (await store.payout_method(scene.customer))["id"]


async def to_a_strangers_method(store: Store, scene: Scene) -> None:
    """The payout method is another customer's."""
    scene.input["payoutMethodId"] = (await store.payout_method(await store.customer()))["id"]


# --- what many of them refuse -------------------------------------------------------------------------------

KEYS = (
    refused("empty key", "FIELD_INVALID", "idempotencyKey", sends(idempotencyKey="")),
    refused("blank key", "FIELD_INVALID", "idempotencyKey", sends(idempotencyKey="  \u3000 ")),
    refused("long key", "FIELD_INVALID", "idempotencyKey", sends(idempotencyKey="k" * 256)),
    refused("key of the server's own", "FIELD_INVALID", "idempotencyKey", sends(idempotencyKey="auto:1")),
    refused("key with NUL", "TEXT_NOT_ALLOWED", "idempotencyKey", sends(idempotencyKey="k\u0000")),
)
PAYOUT_METHODS = (
    refused("no id", "FIELD_INVALID", "payoutMethodId", sends(payoutMethodId="garbage")),
    refused(
        "another type's id",
        "FIELD_INVALID",
        "payoutMethodId",
        sends(payoutMethodId=encode_id("Wallet", NOBODY)),
    ),
    refused(
        "unknown", "NOT_FOUND", "payoutMethodId", sends(payoutMethodId=encode_id("PayoutMethod", NOBODY))
    ),
)
NOTES = (
    refused("empty note", "NOTE_TOO_SHORT", "note", sends(note="")),
    refused("short note", "NOTE_TOO_SHORT", "note", sends(note="too late")),
    refused("note of blanks", "NOTE_TOO_SHORT", "note", sends(note=" " * 40)),
    refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
    refused("bare category", "NOTE_NOT_MEANINGFUL", "note", sends(note="refund for customer")),
    refused("one word often", "NOTE_NOT_MEANINGFUL", "note", sends(note="refund refund refund")),
    refused("note with a bell", "TEXT_NOT_ALLOWED", "note", sends(note="Parcel of order 1042\u0007 broken")),
    refused("note that turns round", "TEXT_NOT_ALLOWED", "note", sends(note="Order \u202e2401 came broken")),
)
AMOUNTS = (
    refused("zero", "AMOUNT_NOT_POSITIVE", "amount.amount", sends_amount("0.00")),
    refused("negative", "AMOUNT_NOT_POSITIVE", "amount.amount", sends_amount("-5.00")),
    refused("minus zero", "AMOUNT_NOT_POSITIVE", "amount.amount", sends_amount("-0")),
    refused("a tenth of a cent", "AMOUNT_TOO_PRECISE", "amount.amount", sends_amount("0.001")),
    refused("a cent too many", "AMOUNT_TOO_LARGE", "amount.amount", sends_amount("10000000000000.01")),
    refused("40 digits", "AMOUNT_TOO_LARGE", "amount.amount", sends_amount("9" * 40)),
    refused("another currency", "CURRENCY_MISMATCH", "amount.currency", sends_amount("5.00", "EUR")),
)
WALLETS = (
    refused("no id", "FIELD_INVALID", "wallet.id", sends(wallet={"id": "garbage"})),
    refused(
        "another type's id", "FIELD_INVALID", "wallet.id", sends(wallet={"id": encode_id("Customer", NOBODY)})
    ),
    refused("no customer id", "FIELD_INVALID", "wallet.customerId", sends(wallet={"customerId": ""})),
    refused(
        "empty store id", "FIELD_INVALID", "wallet.storeCustomerId", sends(wallet={"storeCustomerId": " "})
    ),
    refused(
        "long store id",
        "FIELD_INVALID",
        "wallet.storeCustomerId",
        sends(wallet={"storeCustomerId": "c" * 129}),
    ),
    refused(
        "store id with NUL",
        "TEXT_NOT_ALLOWED",
        "wallet.storeCustomerId",
        sends(wallet={"storeCustomerId": "c\u0000"}),
    ),
    refused("unknown wallet", "NOT_FOUND", "wallet", sends(wallet={"id": encode_id("Wallet", NOBODY)})),
    refused(
        "unknown customer", "NOT_FOUND", "wallet", sends(wallet={"customerId": encode_id("Customer", NOBODY)})
    ),
)
UNKNOWN_STORE_ID = refused(
    "unknown store id", "NOT_FOUND", "wallet", sends(wallet={"storeCustomerId": "nobody has this"})
)
BY_ONESELF = refused("one's own", "OWN_WALLET", "withdrawalId", by_oneself)
REVIEWERS = frozenset({"finance", "shop_manager", "administrator"})
OWN_WALLET = refused("own wallet", "OWN_WALLET", "wallet", by_oneself)
GIFT_CARDS = (
    refused("no id", "FIELD_INVALID", "giftCardId", sends(giftCardId="garbage")),
    refused(
        "another type's id", "FIELD_INVALID", "giftCardId", sends(giftCardId=encode_id("Wallet", NOBODY))
    ),
    refused("unknown", "NOT_FOUND", "giftCardId", sends(giftCardId=encode_id("GiftCard", NOBODY))),
)
GIFT_CARD_NOTES = tuple(case for case in NOTES if case.code != "NOTE_NOT_MEANINGFUL")
WITHDRAWALS = (
    refused("no id", "FIELD_INVALID", "withdrawalId", sends(withdrawalId="garbage")),
    refused(
        "another type's id", "FIELD_INVALID", "withdrawalId", sends(withdrawalId=encode_id("Wallet", NOBODY))
    ),
    refused("unknown", "NOT_FOUND", "withdrawalId", sends(withdrawalId=encode_id("Withdrawal", NOBODY))),
    refused("cancelled", "WITHDRAWAL_NOT_OPEN", "withdrawalId", ended_by("cancelWithdrawal")),
    refused("rejected", "WITHDRAWAL_NOT_OPEN", "withdrawalId", ended_by("rejectWithdrawal", note=NOTE)),
    refused("paid", "WITHDRAWAL_NOT_OPEN", "withdrawalId", ended_by("markWithdrawalPaid")),
)
NO_WITHDRAWALS = WITHDRAWALS[:3]
REMARKS = (
    refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
    refused("note with a bell", "TEXT_NOT_ALLOWED", "note", sends(note="Now\u0007")),
)
SEVERAL = (
    refused("none", "FIELD_INVALID", "withdrawalIds", sends(withdrawalIds=[])),
    refused("no ids", "FIELD_INVALID", "withdrawalIds.0", sends(withdrawalIds=["garbage"])),
    refused(
        "too many",
        "FIELD_INVALID",
        "withdrawalIds",
        sends(withdrawalIds=[encode_id("Withdrawal", UUID(int=number)) for number in range(1, 1_002)]),
    ),
)
CUSTOMERS = (
    refused("empty store id", "FIELD_INVALID", "storeCustomerId", sends(storeCustomerId="")),
    refused("long store id", "FIELD_INVALID", "storeCustomerId", sends(storeCustomerId="c" * 129)),
    refused("store id with NUL", "TEXT_NOT_ALLOWED", "storeCustomerId", sends(storeCustomerId="c\u0000")),
    refused("long name", "FIELD_INVALID", "name", sends(name="n" * 201)),
    refused("name with a line break", "TEXT_NOT_ALLOWED", "name", sends(name="Ada\nLovelace")),
    refused("no e-mail", "FIELD_INVALID", "email", sends(email="ada")),
    refused("e-mail without a host", "FIELD_INVALID", "email", sends(email="ada@")),
    refused("e-mail with a blank", "FIELD_INVALID", "email", sends(email="ada l@shop.example")),
    refused("long e-mail", "FIELD_INVALID", "email", sends(email="a" * 250 + "@x.example")),
)


FACTS = (
    refused("born tomorrow week", "FIELD_INVALID", "birthday", sends(birthday="2999-01-01")),
    refused("born long ago", "FIELD_INVALID", "birthday", sends(birthday="1849-12-31")),
    refused("empty role", "FIELD_INVALID", "roles", sends(roles=[" "])),
    refused("long role", "FIELD_INVALID", "roles", sends(roles=["r" * 101])),
    refused("many roles", "FIELD_INVALID", "roles", sends(roles=[str(n) for n in range(51)])),
    refused("segment with a bell", "TEXT_NOT_ALLOWED", "segments", sends(segments=["news\u0007"])),
    refused("many segments", "FIELD_INVALID", "segments", sends(segments=[str(n) for n in range(51)])),
    refused("no language", "FIELD_INVALID", "language", sends(language="Deutsch!")),
    refused("long language", "FIELD_INVALID", "language", sends(language="de-" + "x" * 40)),
    refused("one's own birthday", "OWN_WALLET", "storeCustomerId", tells_of_oneself),
)


# --- the right requests -------------------------------------------------------------------------------------


async def an_adjustment(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"storeCustomerId": customer["storeCustomerId"]},
        "direction": "CREDIT",
        "amount": store.money("25.00"),
        "reason": "DAMAGED_OR_MISSING",
        "note": NOTE,
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_wallet(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "note": "Sign-ins from three countries today",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def some_preferences(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "preferences": [{"kind": "TOP_UP", "enabled": False}],
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_frozen_wallet(store: Store) -> Scene:
    scene = await a_wallet(store)
    await store.freeze(scene.customer)
    return scene


async def a_new_customer(_store: Store) -> Scene:
    name = fresh()
    input_ = {"storeCustomerId": name, "name": "Ada Lovelace", "email": "ada@shop.example"}
    return Scene({**input_, "idempotencyKey": fresh("key")}, {"storeCustomerId": name})


async def a_known_customer(store: Store) -> Scene:
    customer = await store.customer(name="Ada", email="ada@shop.example")
    input_ = {"storeCustomerId": customer["storeCustomerId"], "name": "Ada Lovelace"}
    return Scene({**input_, "idempotencyKey": fresh("key")}, customer)


async def an_event(store: Store) -> Scene:
    customer = await store.customer()
    input_ = {"storeCustomerId": customer["storeCustomerId"], "event": "review", "eventId": fresh("review")}
    return Scene({**input_, "idempotencyKey": fresh("key")}, customer)


async def a_top_up(store: Store) -> Scene:
    customer = await store.customer()
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "woocommerce",
        "externalId": fresh("top-up"),
        "paid": store.money("40.00"),
        "faceValue": store.money("50.00"),
        "paymentMethod": "card",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def takes_top_ups(store: Store) -> None:
    await store.set_settings(topUpsEnabled=True, topUpMethods=["card"], topUpMinimum=store.money("1.00"))


async def a_top_up_to_start(store: Store) -> Scene:
    await takes_top_ups(store)
    customer = await store.customer()
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "amount": store.money("40.00"),
        "paymentMethod": "card",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_top_up_to_leave(store: Store) -> Scene:
    scene = await a_top_up_to_start(store)
    intent = (await store.done("startTopUp", scene.input))["topUpIntent"]
    return Scene({"topUpIntentId": intent["id"], "idempotencyKey": fresh("key")}, scene.customer)


async def a_rule_of_top_ups(store: Store) -> Scene:
    await takes_top_ups(store)
    customer = await store.customer()
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "kind": "THRESHOLD",
        "threshold": store.money("20.00"),
        "amount": store.money("50.00"),
        "paymentMethod": "card",
        "paymentToken": "tok-81",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_rule_to_stop(store: Store) -> Scene:
    scene = await a_rule_of_top_ups(store)
    rule = (await store.done("setAutoTopUp", scene.input))["autoTopUp"]
    return Scene({"autoTopUpId": rule["id"], "idempotencyKey": fresh("key")}, scene.customer)


async def a_charge(store: Store) -> Scene:
    scene = await a_rule_of_top_ups(store)
    await store.done("setAutoTopUp", scene.input)
    await work_off(store.app.state.runtime, "auto-top-ups")
    query = "{ autoTopUpCharges(last: 100) { nodes { id wallet { id } } } }"
    nodes = (await store.execute(query, {}, ADMINISTRATOR)).data["autoTopUpCharges"]["nodes"]
    (charge,) = (node["id"] for node in nodes if node["wallet"]["id"] == scene.customer["wallet"]["id"])
    input_ = {
        "chargeId": charge,
        "outcome": "PAID",
        "source": "woocommerce",
        "externalId": fresh("charge"),
        "paid": store.money("50.00"),
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, scene.customer)


async def takes_none(store: Store, _scene: Scene) -> None:
    """The store takes no top-ups any more."""
    await store.set_settings(topUpsEnabled=False)


async def left_and_paid(store: Store, scene: Scene) -> None:
    """The money came already."""
    query = "query ($id: ID!) { node(id: $id) { ... on TopUpIntent { reference } } }"
    node = (await store.execute(query, {"id": scene.input["topUpIntentId"]}, ADMINISTRATOR)).data["node"]
    paid = (await a_top_up(store)).input
    wallet = {"id": scene.customer["wallet"]["id"]}
    await store.done("recordTopUp", {**paid, "wallet": wallet, "intent": node["reference"]})


async def declines_what_was_paid(store: Store, scene: Scene) -> None:
    """The store said before that the charge was paid."""
    await store.done("reportAutoTopUpCharge", {**scene.input, "idempotencyKey": fresh("key")})
    del scene.input["source"], scene.input["externalId"], scene.input["paid"]
    scene.input["outcome"] = "DECLINED"


async def says_nothing_was_kept(_store: Store, scene: Scene) -> None:
    """Paid, and no word of how much."""
    del scene.input["paid"]


async def a_request(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "amount": store.money("30.00"),
        "note": "To my account at the bank, please",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_withdrawal(store: Store) -> Scene:
    customer = await store.funded("100.00")
    withdrawal = await store.withdrawal(customer, "30.00")
    return Scene({"withdrawalId": withdrawal["id"], "idempotencyKey": fresh("key")}, customer)


async def an_approved_withdrawal(store: Store) -> Scene:
    scene = await a_withdrawal(store)
    await store.steps_on(scene.input["withdrawalId"], "approveWithdrawal")
    return scene


async def a_withdrawal_that_is_sent(store: Store) -> Scene:
    scene = await an_approved_withdrawal(store)
    await store.steps_on(scene.input["withdrawalId"], "markWithdrawalProcessing")
    scene.input["note"] = "The bank knows no such account"
    return scene


async def a_paid_withdrawal(store: Store) -> Scene:
    scene = await a_withdrawal_that_is_sent(store)
    await store.steps_on(scene.input["withdrawalId"], "markWithdrawalPaid")
    return scene


async def a_withdrawal_with_a_problem(store: Store) -> Scene:
    """It failed, and then the bank said that it was paid."""
    scene = await a_withdrawal_that_is_sent(store)
    payload = await store.steps_on(scene.input["withdrawalId"], "markWithdrawalFailed", note=NOTE)
    content = f"reference,outcome\n{payload['withdrawal']['reference']},PAID"
    await store.done("importWithdrawalResults", {"content": content, "idempotencyKey": fresh("key")})
    scene.input["note"] = "The bank took the second payment back by phone"
    return scene


async def withdrawals_to_decide(store: Store) -> Scene:
    customer = await store.funded("100.00")
    ids = [(await store.withdrawal(customer))["id"] for _ in range(2)]
    return Scene({"withdrawalIds": ids, "idempotencyKey": fresh("key")}, customer)


async def withdrawals_to_refuse(store: Store) -> Scene:
    scene = await withdrawals_to_decide(store)
    scene.input["note"] = "The account at the bank is somebody else's"
    return scene


async def withdrawals_to_export(store: Store) -> Scene:
    scene = await withdrawals_to_decide(store)
    for one in scene.input["withdrawalIds"]:
        await store.steps_on(one, "approveWithdrawal")
    scene.input["format"] = "CSV"
    return scene


async def results_of_the_bank(store: Store) -> Scene:
    customer = await store.funded("100.00")
    withdrawal = await store.withdrawal(customer)
    await store.steps_on(withdrawal["id"], "approveWithdrawal")
    content = f"reference,outcome,bank_reference\r\n{withdrawal['reference']},PAID,B-1042\r\n"
    return Scene({"content": content, "idempotencyKey": fresh("key")}, customer)


async def a_withdrawal_to_refuse(store: Store) -> Scene:
    scene = await a_withdrawal(store)
    scene.input["note"] = "The account at the bank is somebody else's"
    return scene


async def a_checkout(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "order": {"source": "shop", "externalId": fresh("order"), "total": store.money("80.00")},
        "amount": store.money("30.00"),
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_payment(store: Store) -> Scene:
    customer = await store.funded("100.00")
    payment = await store.authorize(customer, store.order(customer, "80.00"), "60.00")
    return Scene({"paymentId": payment["id"], "idempotencyKey": fresh("key")}, customer)


async def a_payment_to_capture(store: Store) -> Scene:
    scene = await a_payment(store)
    scene.input["amount"] = store.money("40.00")
    return scene


LINES = (
    {"lineId": "1", "name": "Desk lamp", "quantity": "3", "total": "50.00", "tax": "10.00"},
    {"lineId": "2", "name": "Linen, by the metre", "quantity": "1.5", "total": "10.00"},
)


async def an_order(store: Store) -> Scene:
    customer = await store.funded("100.00")
    told = store.order(customer, "80.00", status="PAID", shipping="10.00", tax="10.00", lines=list(LINES))
    refunds = [{"storeRefundId": "r1", "amount": "5.00"}]
    return Scene({**told, "refunds": refunds, "idempotencyKey": fresh("key")}, customer)


async def a_guests_order(store: Store) -> Scene:
    customer = await store.funded("100.00")
    told = store.order(None, "80.00", status="PAID", guestEmail="ada@shop.example")
    await store.record(told)
    input_ = {
        "order": {"storeOrder": named(told)},
        "storeCustomerId": customer["storeCustomerId"],
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_paid_order(store: Store) -> Scene:
    customer = await store.funded("100.00")
    told = store.order(customer, "80.00", shipping="10.00", tax="10.00", lines=list(LINES))
    await store.pay(customer, told, "50.00")
    await store.record(told, status="PAID")
    input_ = {
        "order": {"storeOrder": named(told)},
        "amount": store.money("20.00"),
        "note": NOTE,
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def a_renewal(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "order": {"source": "shop", "externalId": fresh("order")},
        "subscription": fresh("sub"),
        "amount": store.money("30.00"),
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def an_announcement(store: Store) -> Scene:
    customer = await store.funded("100.00")
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "shop",
        "subscription": fresh("sub"),
        "amount": store.money("30.00"),
        "dueAt": "2031-05-01T00:00:00Z",
        "description": "Coffee of the month",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


async def an_announced_renewal(store: Store) -> Scene:
    scene = await an_announcement(store)
    await store.done("announceRenewal", scene.input)
    kept = {name: scene.input[name] for name in ("source", "subscription")}
    return Scene({**kept, "idempotencyKey": fresh("key")}, scene.customer)


async def new_gift_cards(store: Store) -> Scene:
    input_ = {
        "amount": store.money("25.00"),
        "count": 3,
        "label": "Spring raffle",
        "note": "Prizes of the spring raffle",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_)


async def an_inactive_gift_card(store: Store) -> Scene:
    card = await store.gift_card(active=False)
    return Scene({"giftCardId": card["id"], "idempotencyKey": fresh("key")})


async def an_active_gift_card(store: Store) -> Scene:
    card = await store.gift_card()
    return Scene(
        {"giftCardId": card["id"], "note": "Stolen from the shop window", "idempotencyKey": fresh("key")}
    )


async def a_disabled_gift_card(store: Store) -> Scene:
    scene = await an_active_gift_card(store)
    await store.done("disableGiftCard", {**scene.input, "idempotencyKey": fresh("key")})
    return scene


async def a_redemption(store: Store) -> Scene:
    await store.set_settings(giftCardsRedeemable=True)
    customer = await store.funded("100.00")
    card = await store.gift_card("25.00", caller=SERVICE)
    input_ = {
        "wallet": {"id": customer["wallet"]["id"]},
        "code": card["code"],
        "amount": store.money("25.00"),
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_, customer)


def with_the_card(change: Callable[[Store, str], Awaitable[Any]]) -> Change:
    """Something happened to the card of the scene before."""

    async def change_(store: Store, scene: Scene) -> None:
        await change(store, scene.input["giftCardId"])

    return change_


async def activates(store: Store, card_id: str) -> None:
    await store.done("activateGiftCard", {"giftCardId": card_id, "idempotencyKey": fresh("key")})


async def disables(store: Store, card_id: str) -> None:
    input_ = {"giftCardId": card_id, "note": "Stolen from the shop window", "idempotencyKey": fresh("key")}
    await store.done("disableGiftCard", input_)


async def enables(store: Store, card_id: str) -> None:
    input_ = {"giftCardId": card_id, "note": "Found again behind the till", "idempotencyKey": fresh("key")}
    await store.done("enableGiftCard", input_)


async def redeems_euros(store: Store, scene: Scene) -> None:
    """The code is that of a card from when the store had another currency."""
    runtime = store.app.state.runtime
    wanted = IssueRequest("25.00", "EUR", 1, None, None, "", WHY, True, False, None)
    actor = Actor(ActorKind.STAFF, "mira")
    issued = await issue(runtime.writer, runtime.gift_card_keys, actor, wanted)
    assert issued.codes
    scene.input["code"] = issued.codes[0]
    del scene.input["amount"]


def redeems_another(**card: Any) -> Change:
    """The code is that of another card."""

    async def change(store: Store, scene: Scene) -> None:
        scene.input["code"] = (await store.gift_card(**{"caller": SERVICE, **card}))["code"]
        del scene.input["amount"]

    return change


async def redeems_a_disabled_card(store: Store, scene: Scene) -> None:
    """Staff stopped the card."""
    card = await store.gift_card()
    await disables(store, card["id"])
    scene.input["code"] = card["code"]


async def redeemed_before(store: Store, scene: Scene) -> None:
    """Somebody was quicker."""
    await store.redeem(await store.customer(), {"code": scene.input["code"]})


async def gift_cards_are_off(store: Store, _scene: Scene) -> None:
    """The store does not take them into wallets."""
    await store.set_settings(giftCardsRedeemable=False)


async def mistypes(_store: Store, scene: Scene) -> None:
    """One character is another one."""
    code = scene.input["code"]
    scene.input["code"] = ("8" if code[0] == "7" else "7") + code[1:]


async def issued_it_oneself(store: Store, scene: Scene) -> None:
    """Staff redeem into their own wallet what they made themselves."""
    name = scene.customer["storeCustomerId"]
    scene.caller = Caller(name, ("shop_manager",))
    scene.input["code"] = (await store.gift_card("25.00", caller=scene.caller))["code"]


def sends_within(name: str, **changes: Any) -> Change:
    """Other values in a part of the input."""

    async def change(_store: Store, scene: Scene) -> None:
        scene.input[name] = {**scene.input[name], **changes}

    return change


def sends_line(**changes: Any) -> Change:
    """One line and nothing else, where otherwise an amount is sent."""

    async def change(_store: Store, scene: Scene) -> None:
        scene.input.pop("amount", None)
        scene.input["lines"] = [{**scene.input.get("lines", LINES)[0], **changes}]

    return change


def told_of(**changes: Any) -> Change:
    """The store told of the order before."""

    async def change(store: Store, scene: Scene) -> None:
        told = {**store.order(scene.customer, "80.00"), **changes}
        await store.record(told | {name: scene.input["order"][name] for name in ("source", "externalId")})

    return change


async def pays_a_strangers_order(store: Store, scene: Scene) -> None:
    """The store said whose order it is."""
    told = store.order(await store.customer(), "80.00")
    await store.record(told | {name: scene.input["order"][name] for name in ("source", "externalId")})


async def paid_otherwise(store: Store, scene: Scene) -> None:
    """Another wallet paid it."""
    told = {**scene.input["order"], "total": "80.00"}
    await store.pay(await store.funded("100.00"), told, "10.00")


async def paid_already(store: Store, scene: Scene) -> None:
    """All of it was paid."""
    await store.pay(scene.customer, {**scene.input["order"], "total": "80.00"}, "80.00")
    scene.input["amount"] = store.money("0.01")


async def works_on_it(store: Store, scene: Scene) -> None:
    """The store works on the order, and the customer asks."""
    await told_of(status="PAID")(store, scene)
    scene.caller = Caller(scene.customer["storeCustomerId"])


async def pays_all_there_is(_store: Store, scene: Scene) -> None:
    """As much as there is, and nobody says up to what."""
    scene.input["amount"] = None
    del scene.input["order"]["total"]


async def pays_with_nothing(store: Store, scene: Scene) -> None:
    """As much as there is, and there is nothing."""
    await store.adjust(scene.customer, "-100.00")
    scene.input["amount"] = None


def ended_payment(mutation: str) -> Change:
    """Somebody ended the payment before."""

    async def change(store: Store, scene: Scene) -> None:
        await store.done(mutation, {"paymentId": scene.input["paymentId"], "idempotencyKey": fresh("key")})

    return change


async def captured_in_part(store: Store, scene: Scene) -> None:
    """A part was taken, and now the customer wants the rest back."""
    await store.capture({"id": scene.input["paymentId"]}, "10.00", final=False)
    scene.caller = Caller(scene.customer["storeCustomerId"])


async def held_for_a_paid_order(store: Store, scene: Scene) -> None:
    """The store works on the order, waits with the capture, and the customer wants the money back."""
    told = store.order(scene.customer, "80.00")
    manual = {"captureMethod": "MANUAL", "caller": ADMINISTRATOR}
    scene.input["paymentId"] = (await store.authorize(scene.customer, told, "40.00", **manual))["id"]
    await store.record(told, status="PAID")
    scene.caller = Caller(scene.customer["storeCustomerId"])


async def claimed_before(store: Store, scene: Scene) -> None:
    """Another customer was given the order."""
    other = {"storeCustomerId": (await store.customer())["storeCustomerId"], "idempotencyKey": fresh("key")}
    await store.done("claimOrder", {**scene.input, **other})


def refunds_another(**changes: Any) -> Change:
    """The same for another order."""

    async def change(store: Store, scene: Scene) -> None:
        owner = None if changes.get("guest") else scene.customer
        more = {name: value for name, value in changes.items() if name != "guest"}
        told = store.order(owner, "80.00", **more)
        await store.record(told)
        scene.input["order"] = {"storeOrder": named(told)}

    return change


async def refunds_lines_of_an_untold_order(store: Store, scene: Scene) -> None:
    """Only the wallet knows of the order."""
    told = store.order(scene.customer, "80.00")
    await store.pay(scene.customer, told, "20.00")
    scene.input["order"] = {"storeOrder": named(told)}
    await sends_line()(store, scene)
    scene.input["lines"] = [{"lineId": "1"}]


async def redirects(store: Store, scene: Scene) -> None:
    """Somebody refunds elsewhere than the store's policy says, and may not."""
    scene.caller = SUPPORT
    scene.input["destination"] = "WALLET"


async def redirects_bucket(store: Store, scene: Scene) -> None:
    """Somebody refunds as another kind of value than the store's policy says, and may not."""
    scene.caller = SUPPORT
    scene.input["bucket"] = "PROMO"


async def new_settings(store: Store) -> Scene:
    input_ = {
        "inactiveAfterMonths": 9,
        "highBalance": store.money("750.00"),
        "note": "Agreed with finance in May",
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_)


async def a_replay(store: Store) -> Scene:
    input_ = {"deliveryIds": [await store.delivery() for _ in range(2)], "idempotencyKey": fresh("key")}
    return Scene(input_)


async def a_replay_by_filter_too(_store: Store, scene: Scene) -> None:
    """Both ways at once."""
    scene.input["filter"] = {"statuses": ["DEAD"]}


KEEPER = ("ROLES_READ", "ROLES_WRITE", "API_KEYS_READ", "API_KEYS_WRITE", "WALLETS_READ")
"""The rights of somebody who looks after rights, and has few others."""


async def a_new_role(_store: Store) -> Scene:
    input_ = {
        "name": fresh("role").replace("-", "_"),
        "description": "Buys for the shop",
        "capabilities": ["WALLETS_READ"],
        "mapsFrom": ["buyer"],
        "note": WHY,
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_)


async def a_changed_role(store: Store) -> Scene:
    role = await store.role("WALLETS_READ")
    input_ = {"roleId": role["id"], "capabilities": ["WALLETS_READ", "WALLETS_ADJUST"], "note": WHY}
    return Scene({**input_, "idempotencyKey": fresh("key")})


async def a_new_key(_store: Store) -> Scene:
    input_ = {"name": fresh("service"), "capabilities": ["WALLETS_READ"], "note": WHY}
    return Scene({**input_, "idempotencyKey": fresh("key")})


async def a_key(store: Store) -> Scene:
    key = await store.api_key("WALLETS_READ", "WALLETS_ADJUST")
    return Scene({"apiKeyId": key["id"], "note": WHY, "idempotencyKey": fresh("key")})


async def by_a_keeper(store: Store, scene: Scene) -> None:
    """The same, asked by somebody who looks after rights, and lacks the one that this is about."""
    scene.caller = Caller("rita", ((await store.role(*KEEPER))["name"],))


async def grants_more(store: Store, scene: Scene) -> None:
    """Somebody who looks after rights gives what they lack."""
    await by_a_keeper(store, scene)
    scene.input["capabilities"] = ["WALLETS_ADJUST"]


async def named_as_another(store: Store, scene: Scene) -> None:
    """A key that is still good has the name."""
    scene.input["name"] = (await store.api_key("WALLETS_READ"))["name"].upper()


def of_preset(name: str, **changes: Any) -> Change:
    """The same with one of the roles that a store begins with."""

    async def change(store: Store, scene: Scene) -> None:
        answer = await store.execute("{ roles { id name } }")
        scene.input["roleId"] = next(role["id"] for role in answer.data["roles"] if role["name"] == name)
        del scene.input["capabilities"]
        scene.input.update(changes)

    return change


async def of_an_archived_role(store: Store, scene: Scene) -> None:
    """The key shall have the rights of a role that is not in use."""
    role = await store.role("WALLETS_READ")
    await store.done("updateRole", {"roleId": role["id"], "archived": True, "note": WHY})
    scene.input["roleId"] = role["id"]
    del scene.input["capabilities"]


async def revoked(store: Store, scene: Scene) -> None:
    """Somebody ended the key before."""
    await store.done("revokeApiKey", {"apiKeyId": scene.input["apiKeyId"], "note": WHY})


async def rotated(store: Store, scene: Scene) -> None:
    """Somebody replaced the key before."""
    await store.done("rotateApiKey", {"apiKeyId": scene.input["apiKeyId"], "note": WHY})


async def a_new_endpoint(store: Store) -> Scene:
    await store.webhook_endpoint()
    input_ = {
        "url": f"https://shop.example/{fresh('hook')}",
        "description": "The shop's own back end",
        "events": ["payment.*", "order.updated"],
        "note": WHY,
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_)


async def an_endpoint(store: Store) -> Scene:
    endpoint = await store.webhook_endpoint()
    return Scene({"webhookEndpointId": endpoint["id"], "note": WHY, "idempotencyKey": fresh("key")})


async def an_endpoint_that_is_off(store: Store) -> Scene:
    endpoint = await store.webhook_endpoint(enabled=False)
    return Scene({"webhookEndpointId": endpoint["id"], "note": WHY, "idempotencyKey": fresh("key")})


async def an_endpoint_to_change(store: Store) -> Scene:
    scene = await an_endpoint(store)
    scene.input["events"] = ["wallet.*"]
    return scene


async def an_endpoint_to_try(store: Store) -> Scene:
    scene = await an_endpoint(store)
    del scene.input["note"]
    return scene


async def messages_to_send_again(store: Store) -> Scene:
    sent = await store.outgoing_webhook()
    return Scene({"outgoingWebhookIds": [sent["id"]], "idempotencyKey": fresh("key")})


async def messages_by_filter_too(_store: Store, scene: Scene) -> None:
    """Ids and a filter."""
    scene.input["filter"] = {"statuses": ["DEAD"]}


async def by_a_listener(store: Store, scene: Scene) -> None:
    """The same, asked by somebody who may set endpoints up, and see nothing else."""
    scene.caller = Caller("lena", ((await store.role("WEBHOOK_ENDPOINTS_WRITE"))["name"],))


async def maps_from_a_name(_store: Store, scene: Scene) -> None:
    """Every bearer of another role would get this one too."""
    scene.input["mapsFrom"] = ["buyer", "customer"]


async def a_new_promotion(store: Store) -> Scene:
    input_ = {
        "name": "Spring",
        "description": "Five for everybody",
        "status": "ACTIVE",
        "amount": store.money("5.00"),
        "budget": store.money("500.00"),
        "note": WHY,
        "idempotencyKey": fresh("key"),
    }
    return Scene(input_)


async def a_changed_promotion(store: Store) -> Scene:
    promotion = await store.promotion(usesMax=5)
    input_ = {"promotionId": promotion["id"], "name": "Summer", "usesMax": 7, "note": WHY}
    return Scene({**input_, "idempotencyKey": fresh("key")})


async def new_codes(store: Store) -> Scene:
    promotion = await store.promotion()
    generate = {"count": 3, "prefix": "spring"}
    return Scene({"promotionId": promotion["id"], "generate": generate, "idempotencyKey": fresh("key")})


async def a_coupon(store: Store) -> Scene:
    customer = await store.customer()
    code = await store.coupon(await store.promotion())
    input_ = {"wallet": {"id": customer["wallet"]["id"]}, "code": code.lower()}
    return Scene({**input_, "idempotencyKey": fresh("key")}, customer)


async def promotion_archived(store: Store, scene: Scene) -> None:
    """The promotion is over for good."""
    await store.change_promotion({"id": scene.input["promotionId"]}, status="ARCHIVED")


async def takes_a_code(store: Store, scene: Scene) -> None:
    """Another promotion has the code."""
    scene.input["code"] = await store.coupon(await store.promotion())
    del scene.input["generate"]


async def imports_a_code(store: Store, scene: Scene) -> None:
    """Another promotion has a code of the file."""
    await takes_a_code(store, scene)
    scene.input["csv"] = f"code\n{fresh('code')}\n{scene.input.pop('code')}\n"


def sends_codes(**changes: Any) -> Change:
    """Other codes, and no generated ones."""

    async def change(_store: Store, scene: Scene) -> None:
        del scene.input["generate"]
        scene.input.update(changes)

    return change


def of_a_promotion(**terms: Any) -> Change:
    """A code of a promotion that is another one."""

    async def change(store: Store, scene: Scene) -> None:
        scene.input["code"] = await store.coupon(await store.promotion(**terms))

    return change


async def coupon_redeemed_before(store: Store, scene: Scene) -> None:
    """The customer had it already."""
    await store.done("redeemCoupon", {**scene.input, "idempotencyKey": fresh("key")})


async def redeemed_by_another(store: Store, scene: Scene) -> None:
    """Somebody else had the only one."""
    await of_a_promotion(usesMax=1)(store, scene)
    other = {"id": (await store.customer())["wallet"]["id"]}
    await store.done("redeemCoupon", {**scene.input, "wallet": other, "idempotencyKey": fresh("key")})


async def bought_before(store: Store, scene: Scene) -> None:
    """It is for new customers, and this one is none."""
    await store.record(store.order(scene.customer, "80.00"), status="PAID")
    await of_a_promotion(firstTimeOnly=True)(store, scene)


async def paused(store: Store, scene: Scene) -> None:
    """Its promotion is paused."""
    promotion = await store.promotion()
    scene.input["code"] = await store.coupon(promotion)
    await store.change_promotion(promotion, status="PAUSED")


async def fills_the_wallet_before(store: Store, scene: Scene) -> None:
    """The wallet holds as much as a wallet can."""
    for _ in range(9):
        await store.adjust(scene.customer, "10000000000000.00")
    await store.adjust(scene.customer, "1.00")
    await of_a_promotion(amount=store.money("10000000000000.00"))(store, scene)


PROMOTIONS = (
    refused("name with a bell", "TEXT_NOT_ALLOWED", "name", sends(name="Spring\u0007")),
    refused("long name", "FIELD_INVALID", "name", sends(name="n" * 101)),
    refused("long description", "FIELD_INVALID", "description", sends(description="d" * 501)),
    refused("amount of nothing", "AMOUNT_NOT_POSITIVE", "amount.amount", sends_amount("0")),
    refused("too precise an amount", "AMOUNT_TOO_PRECISE", "amount.amount", sends_amount("0.001")),
    refused("another currency", "CURRENCY_MISMATCH", "amount.currency", sends_amount("5.00", "EUR")),
    refused("both", "FIELD_INVALID", "amount", sends(percent="10", amount={"amount": "5", "currency": "USD"})),
    refused("no percent", "FIELD_INVALID", "percent", sends(percent="0", amount=None)),
    refused("more than all", "FIELD_INVALID", "percent", sends(percent="100.01", amount=None)),
    refused("a part of a basis point", "FIELD_INVALID", "percent", sends(percent="0.001", amount=None)),
    refused("a cap of an amount", "FIELD_INVALID", "cap", sends(cap={"amount": "5", "currency": "USD"})),
    refused("a minimum of nothing", "AMOUNT_NOT_POSITIVE", "minimumSpend.amount", sends_amount("0", name="minimumSpend")),
    refused("never used", "FIELD_INVALID", "usesMax", sends(usesMax=0)),
    refused("used by nobody", "FIELD_INVALID", "usesPerCustomer", sends(usesPerCustomer=0)),
    refused("no budget", "AMOUNT_NOT_POSITIVE", "budget.amount", sends_amount("0", name="budget")),
    refused("no days", "FIELD_INVALID", "grantedForDays", sends(grantedForDays=0)),
    refused(
        "ends before it begins",
        "FIELD_INVALID",
        "endsAt",
        sends(startsAt="2031-05-01T00:00:00Z", endsAt="2031-05-01T00:00:00Z"),
    ),
    refused("an empty category", "FIELD_INVALID", "lines.categories", sends(lines={"categories": [" "]})),
    refused(
        "a product in and out",
        "FIELD_INVALID",
        "lines.exceptProducts",
        sends(lines={"products": ["7"], "exceptProducts": ["7"]}),
    ),
)  # fmt: skip
PROMOTION_IDS = (
    refused("no id", "FIELD_INVALID", "promotionId", sends(promotionId="garbage")),
    refused("another type's id", "FIELD_INVALID", "promotionId", sends(promotionId=encode_id("Role", NOBODY))),
    refused("unknown", "NOT_FOUND", "promotionId", sends(promotionId=encode_id("Promotion", NOBODY))),
    refused("archived", "PROMOTION_ARCHIVED", "promotionId", promotion_archived),
)  # fmt: skip
ORDER_NAMES = (
    refused("no source", "FIELD_INVALID", "order.source", sends_within("order", source="Web shop")),
    refused("empty source", "FIELD_INVALID", "order.source", sends_within("order", source="")),
    refused("no external id", "FIELD_INVALID", "order.externalId", sends_within("order", externalId=" ")),
    refused(
        "long external id", "FIELD_INVALID", "order.externalId", sends_within("order", externalId="o" * 129)
    ),
    refused("NUL", "TEXT_NOT_ALLOWED", "order.externalId", sends_within("order", externalId="o\u0000")),
)
ORDERS = (
    refused("no order id", "FIELD_INVALID", "order.id", sends(order={"id": "garbage"})),
    refused("a wallet's id", "FIELD_INVALID", "order.id", sends(order={"id": encode_id("Wallet", NOBODY)})),
    refused("unknown order", "NOT_FOUND", "order", sends(order={"id": encode_id("Order", NOBODY)})),
    refused(
        "unknown to us",
        "NOT_FOUND",
        "order",
        sends(order={"storeOrder": {"source": "shop", "externalId": "nobody has this"}}),
    ),
    refused(
        "no source",
        "FIELD_INVALID",
        "order.storeOrder.source",
        sends(order={"storeOrder": {"source": "Web shop", "externalId": "1"}}),
    ),
    refused(
        "no external id",
        "FIELD_INVALID",
        "order.storeOrder.externalId",
        sends(order={"storeOrder": {"source": "shop", "externalId": ""}}),
    ),
)
CHECKOUTS = (
    *ORDER_NAMES,
    refused(
        "total of nothing",
        "AMOUNT_NOT_POSITIVE",
        "order.total.amount",
        sends_within("order", total={"amount": "0", "currency": "USD"}),
    ),
    refused(
        "too precise a total",
        "AMOUNT_TOO_PRECISE",
        "order.total.amount",
        sends_within("order", total={"amount": "1.001", "currency": "USD"}),
    ),
    refused(
        "total in another currency",
        "CURRENCY_MISMATCH",
        "order.total.currency",
        sends_within("order", total={"amount": "80.00", "currency": "EUR"}),
    ),
    refused("more than it costs", "PAYMENT_EXCEEDED", "amount", sends_amount("80.01")),
    refused("told otherwise", "PAYMENT_EXCEEDED", "amount", told_of(total="29.99")),
    refused("paid already", "PAYMENT_EXCEEDED", "amount", paid_already),
    refused("of another bucket", "INSUFFICIENT_FUNDS", "amount", sends(buckets=["PROMO", "GIFT_CARD"])),
    refused("nothing there", "INSUFFICIENT_FUNDS", "amount", pays_with_nothing),
    refused("of a newcomer", "INSUFFICIENT_FUNDS", "amount", has_no_wallet),
    refused("up to what", "FIELD_INVALID", "order.total", pays_all_there_is),
    refused("no buckets", "FIELD_INVALID", "buckets", sends(buckets=[])),
    refused("frozen", "WALLET_FROZEN", "wallet", frozen),
    refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
    refused("cancelled", "ORDER_NOT_PAYABLE", "order", told_of(status="CANCELLED")),
    refused("refunded", "ORDER_NOT_PAYABLE", "order", told_of(status="REFUNDED")),
    refused("work on it", "ORDER_NOT_PAYABLE", "order", works_on_it),
    refused("a stranger's order", "ORDER_OF_ANOTHER", "order", pays_a_strangers_order),
    refused("paid by a stranger", "ORDER_OF_ANOTHER", "order", paid_otherwise),
    refused("order in another currency", "CURRENCY_MISMATCH", "order", told_of(currency="EUR")),
)
PAYMENTS = (
    refused("no id", "FIELD_INVALID", "paymentId", sends(paymentId="garbage")),
    refused("another type's id", "FIELD_INVALID", "paymentId", sends(paymentId=encode_id("Wallet", NOBODY))),
    refused("unknown", "NOT_FOUND", "paymentId", sends(paymentId=encode_id("Payment", NOBODY))),
    refused("voided", "PAYMENT_NOT_OPEN", "paymentId", ended_payment("voidPayment")),
    refused("captured", "PAYMENT_NOT_OPEN", "paymentId", ended_payment("capturePayment")),
)
SUBSCRIPTIONS = (
    refused("empty subscription", "FIELD_INVALID", "subscription", sends(subscription="")),
    refused("long subscription", "FIELD_INVALID", "subscription", sends(subscription="s" * 129)),
    refused("subscription with NUL", "TEXT_NOT_ALLOWED", "subscription", sends(subscription="s\u0000")),
)
REASONS = (
    refused("short note", "NOTE_TOO_SHORT", "note", sends(note="because")),
    refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
    refused("note with a bell", "TEXT_NOT_ALLOWED", "note", sends(note="Agreed with the owner\u0007")),
)
WORDS = (
    refused("long description", "FIELD_INVALID", "description", sends(description="d" * 501)),
    refused("empty word", "FIELD_INVALID", "mapsFrom", sends(mapsFrom=[" "])),
    refused("long word", "FIELD_INVALID", "mapsFrom", sends(mapsFrom=["w" * 129])),
    refused("many words", "FIELD_INVALID", "mapsFrom", sends(mapsFrom=[f"w{n}" for n in range(51)])),
    refused("too many words", "FIELD_INVALID", "mapsFrom", sends(mapsFrom=["w"] * 201)),
    refused("word with NUL", "TEXT_NOT_ALLOWED", "mapsFrom", sends(mapsFrom=["w\u0000"])),
    refused("word that names a role", "FIELD_INVALID", "mapsFrom", maps_from_a_name),
)
API_KEYS = (
    refused("no id", "FIELD_INVALID", "apiKeyId", sends(apiKeyId="garbage")),
    refused("another type's id", "FIELD_INVALID", "apiKeyId", sends(apiKeyId=encode_id("Role", NOBODY))),
    refused("unknown", "NOT_FOUND", "apiKeyId", sends(apiKeyId=encode_id("ApiKey", NOBODY))),
    refused("revoked", "API_KEY_NOT_ACTIVE", "apiKeyId", revoked),
)
ENDPOINTS = (
    refused("no id", "FIELD_INVALID", "webhookEndpointId", sends(webhookEndpointId="garbage")),
    refused(
        "another type's id",
        "FIELD_INVALID",
        "webhookEndpointId",
        sends(webhookEndpointId=encode_id("Role", NOBODY)),
    ),
    refused(
        "unknown",
        "NOT_FOUND",
        "webhookEndpointId",
        sends(webhookEndpointId=encode_id("WebhookEndpoint", NOBODY)),
    ),
)
ENDPOINT_PARTS = (
    refused("no address", "FIELD_INVALID", "url", sends(url="the shop")),
    refused("no host", "FIELD_INVALID", "url", sends(url="https://")),
    refused("other scheme", "FIELD_INVALID", "url", sends(url="ftp://shop.example/hooks")),
    refused("no HTTPS", "FIELD_INVALID", "url", sends(url="http://shop.example/hooks")),
    refused("with a password", "FIELD_INVALID", "url", sends(url="https://me:secret@shop.example")),
    refused("with a fragment", "FIELD_INVALID", "url", sends(url="https://shop.example/#hooks")),
    refused("this machine", "FIELD_INVALID", "url", sends(url="https://127.0.0.1/hooks")),
    refused("this machine by name", "FIELD_INVALID", "url", sends(url="https://localhost/hooks")),
    refused("this machine by IPv6", "FIELD_INVALID", "url", sends(url="https://[::1]/hooks")),
    refused("private network", "FIELD_INVALID", "url", sends(url="https://10.0.0.7/hooks")),
    refused("the cloud's metadata", "FIELD_INVALID", "url", sends(url="https://169.254.169.254/latest")),
    refused("long address", "FIELD_INVALID", "url", sends(url=f"https://shop.example/{'x' * 500}")),
    refused("long description", "FIELD_INVALID", "description", sends(description="d" * 201)),
    refused("no events", "FIELD_INVALID", "events", sends(events=[])),
    refused("unknown event", "FIELD_INVALID", "events", sends(events=["payment.lost"])),
    refused("unknown beginning", "FIELD_INVALID", "events", sends(events=["parcel.*"])),
    refused("half a word", "FIELD_INVALID", "events", sends(events=["pay*"])),
)


# --- cashback rules -----------------------------------------------------------------------------------------

RULE: JsonObject = {
    "name": "Five percent",
    "trigger": {"kind": "ORDER_COMPLETED"},
    "reward": {"kind": "PERCENT", "percent": "5"},
    "currency": "USD",
}


async def a_new_rule(_store: Store) -> Scene:
    rule = {**RULE, "name": fresh("Five percent")}
    return Scene({"rule": rule, "note": WHY, "idempotencyKey": fresh("key")})


async def a_changed_rule(store: Store) -> Scene:
    rule = await store.cashback_rule()
    changes = {"reward": {"kind": "PERCENT", "percent": "7.5"}, "caps": {"order": "20.00"}}
    return Scene({"ruleId": rule["id"], "changes": changes, "note": WHY, "idempotencyKey": fresh("key")})


async def a_draft(store: Store) -> Scene:
    rule = await store.cashback_rule(active=False)
    return Scene({"ruleId": rule["id"], "note": WHY, "idempotencyKey": fresh("key")})


async def an_active_rule(store: Store) -> Scene:
    rule = await store.cashback_rule()
    return Scene({"ruleId": rule["id"], "note": WHY, "idempotencyKey": fresh("key")})


async def archived(store: Store, scene: Scene) -> None:
    """It was ended before."""
    await store.done("archiveCashbackRule", {"ruleId": scene.input["ruleId"], "note": WHY})


async def never_started(store: Store, scene: Scene) -> None:
    """It is a draft still."""
    scene.input["ruleId"] = (await store.cashback_rule(active=False))["id"]


def wants(part: str, **changes: Any) -> Change:
    """Another rule, or other changes of one."""

    async def change(_store: Store, scene: Scene) -> None:
        scene.input[part] = {**scene.input[part], **changes}

    return change


def rule_refusals(part: str) -> tuple[Refusal, ...]:
    """What can't be meant of a rule, whether it is new or changed."""

    def wrong(name: str, path: str, code: str = "FIELD_INVALID", /, **changes: Any) -> Refusal:
        return refused(name, code, f"{part}.{path}", wants(part, **changes))

    order = {"kind": "ORDER_COMPLETED"}
    percent = {"kind": "PERCENT", "percent": "5"}
    nth = {"kind": "MILESTONE", "milestone": "NTH_ORDER"}
    return (
        wrong("no name", "name", name=" "),
        wrong("another currency", "currency", "CURRENCY_MISMATCH", currency="EUR"),
        wrong("long name", "name", name="n" * 101),
        wrong("name with a bell", "name", "TEXT_NOT_ALLOWED", name="Spring\u0007"),
        wrong("long description", "description", description="d" * 2001),
        wrong("low priority", "priority", priority=-1_000_001),
        wrong("milestone of none", "trigger.milestone", trigger={**order, "milestone": "FIRST_ORDER"}),
        wrong("nameless event", "trigger.event", trigger={"kind": "EVENT"}),
        wrong("first of n", "trigger.n", trigger={**nth, "n": 1}),
        wrong(
            "spend of nothing",
            "trigger.spend",
            trigger={"kind": "MILESTONE", "milestone": "LIFETIME_SPEND", "spend": "0"},
        ),
        wrong("no percentage", "reward.percent", reward={"kind": "PERCENT"}),
        wrong("more than all", "reward.percent", reward={"kind": "PERCENT", "percent": "100.01"}),
        wrong("tiny percentage", "reward.percent", reward={"kind": "PERCENT", "percent": "0.001"}),
        wrong("no amount", "reward.amount", reward={"kind": "FIXED"}),
        wrong(
            "fine amount",
            "reward.amount",
            "AMOUNT_TOO_PRECISE",
            reward={"kind": "FIXED", "amount": "1.001"},
        ),
        wrong("both", "reward.kind", reward={**percent, "amount": "1"}),
        wrong("gift card", "reward.bucket", reward={**percent, "bucket": "GIFT_CARD"}),
        wrong(
            "shipping by line",
            "reward.base.shipping",
            reward={**percent, "per": "LINE", "base": {"shipping": True}},
        ),
        wrong(
            "lines of a top-up", "reward.per", trigger={"kind": "TOP_UP"}, reward={**percent, "per": "LINE"}
        ),
        wrong("percentage of a birthday", "reward.kind", trigger={"kind": "BIRTHDAY"}),
        wrong("negative minimum", "conditions.minimum", conditions={"minimum": "-1"}),
        wrong("more than the maximum", "conditions.maximum", conditions={"minimum": "2", "maximum": "1"}),
        wrong("eighth day", "conditions.weekdays", conditions={"weekdays": [8]}),
        wrong("half of the hours", "conditions.minuteFrom", conditions={"minuteFrom": 600}),
        wrong("no hours", "conditions.minuteTo", conditions={"minuteFrom": 600, "minuteTo": 600}),
        wrong("before sign-up", "conditions.daysSinceSignUpMin", conditions={"daysSinceSignUpMin": -1}),
        wrong("empty role", "conditions.rolesIn", conditions={"rolesIn": [" "]}),
        wrong(
            "many segments",
            "conditions.segmentsOut",
            conditions={"segmentsOut": [f"s{n}" for n in range(201)]},
        ),
        wrong(
            "segment with NUL",
            "conditions.segmentsIn",
            "TEXT_NOT_ALLOWED",
            conditions={"segmentsIn": ["north\u0000"]},
        ),
        wrong(
            "in and out",
            "conditions.lines.skusOut",
            conditions={"lines": {"skusIn": ["a"], "skusOut": ["a"]}},
        ),
        wrong(
            "category with a bell",
            "conditions.lines.categoriesIn",
            "TEXT_NOT_ALLOWED",
            conditions={"lines": {"categoriesIn": ["cups\u0007"]}},
        ),
        wrong("no expression", "conditions.expression", conditions={"expression": "amount_minor >"}),
        wrong("not yes or no", "conditions.expression", conditions={"expression": "amount_minor + 1"}),
        wrong("a float", "conditions.expression", conditions={"expression": "amount_minor > 1.5"}),
        wrong(
            "long expression",
            "conditions.expression",
            conditions={"expression": "true" + " " * 500 + "|| true"},
        ),
        wrong(
            "expression with NUL",
            "conditions.expression",
            "TEXT_NOT_ALLOWED",
            conditions={"expression": "event == '\u0000'"},
        ),
        wrong("no cap", "caps.order", caps={"order": "0"}),
        wrong("no budget", "caps.budget", caps={"budget": "0"}),
        wrong(
            "two caps of a month",
            "caps.periods.period",
            caps={"periods": [{"period": "MONTH", "amount": "1"}, {"period": "MONTH", "amount": "2"}]},
        ),
        wrong("vests never", "vesting.days", vesting={"kind": "AFTER_DAYS"}),
        wrong("vests twice", "vesting.days", vesting={"kind": "AT_ONCE", "days": 1}),
        wrong("expires at once", "expiry.days", expiry={"days": 0}),
        wrong("no group", "stacking.group", stacking={"mode": "BEST_OF_GROUP"}),
        wrong(
            "ends before it begins",
            "endsAt",
            startsAt="2026-03-02T00:00:00Z",
            endsAt="2026-03-01T00:00:00Z",
        ),
        wrong("amount of no currency", "currency", currency=None, caps={"order": "1"}),
    )


RULES = (
    *REASONS,
    *KEYS,
    refused("no id", "FIELD_INVALID", "ruleId", sends(ruleId="garbage")),
    refused("another type's id", "FIELD_INVALID", "ruleId", sends(ruleId=encode_id("Role", NOBODY))),
    refused("unknown", "NOT_FOUND", "ruleId", sends(ruleId=encode_id("CashbackRule", NOBODY))),
)
RULE_WRITERS = frozenset({"shop_manager", "administrator"})

# --- the table ----------------------------------------------------------------------------------------------

ALL = frozenset({"support", "finance", "shop_manager", "administrator", "service"})

MUTATIONS = (
    Mutation(
        "adjustBalance",
        an_adjustment,
        frozenset({"shop_manager", "administrator", "service"}),
        {"note": "Parcel of order 1043 arrived broken"},
        (
            *AMOUNTS,
            *NOTES,
            *KEYS,
            *WALLETS,
            OWN_WALLET,
            refused("more than there is", "INSUFFICIENT_FUNDS", "amount", debits_too_much),
            refused("of another bucket", "INSUFFICIENT_FUNDS", "amount", debits_other_value),
            refused("what is held", "INSUFFICIENT_FUNDS", "amount", debits_what_is_held),
            refused("more than fits", "BALANCE_TOO_LARGE", "amount", fills_the_wallet),
            refused("expired already", "EXPIRY_IN_PAST", "expiresAt", sends(expiresAt=ago(seconds=1))),
            refused(
                "expired long ago", "EXPIRY_IN_PAST", "expiresAt", sends(expiresAt="1999-12-31T23:59:59Z")
            ),
            refused(
                "a debit that expires",
                "EXPIRY_ON_DEBIT",
                "expiresAt",
                sends(direction="DEBIT", expiresAt=ago(days=-30)),
            ),
            refused("corrects no id", "FIELD_INVALID", "corrects", sends(corrects="TX-1234")),
            refused(
                "corrects a wallet", "FIELD_INVALID", "corrects", sends(corrects=encode_id("Wallet", NOBODY))
            ),
            refused(
                "corrects nothing", "NOT_FOUND", "corrects", sends(corrects=encode_id("Transaction", NOBODY))
            ),
            refused("corrects a stranger's", "CORRECTION_NOT_POSSIBLE", "corrects", corrects_another_wallets),
            refused(
                "opens one to correct a stranger's",
                "CORRECTION_NOT_POSSIBLE",
                "corrects",
                opens_a_wallet_to_correct_anothers,
            ),
        ),
    ),
    Mutation(
        "freezeWallet",
        a_wallet,
        frozenset({"shop_manager", "administrator"}),
        {"note": "The customer's son used the account"},
        (
            *NOTES,
            *KEYS,
            *WALLETS,
            UNKNOWN_STORE_ID,
            OWN_WALLET,
            refused("frozen already", "WALLET_FROZEN", "wallet", frozen),
        ),
    ),
    Mutation(
        "unfreezeWallet",
        a_frozen_wallet,
        frozenset({"shop_manager", "administrator"}),
        {"note": "The customer called and proved it"},
        (
            *NOTES,
            *KEYS,
            *WALLETS,
            UNKNOWN_STORE_ID,
            OWN_WALLET,
            refused("not frozen", "WALLET_NOT_FROZEN", "wallet", let_go),
        ),
    ),
    Mutation(
        "registerCustomer",
        a_new_customer,
        frozenset({"shop_manager", "administrator", "service"}),
        {"name": "Ada King"},
        (*CUSTOMERS, *FACTS, *KEYS),
    ),
    Mutation(
        "updateCustomer",
        a_known_customer,
        frozenset({"shop_manager", "administrator", "service"}),
        {"name": "Ada King"},
        (
            *CUSTOMERS,
            *FACTS,
            *KEYS,
            refused("unknown", "NOT_FOUND", "storeCustomerId", sends(storeCustomerId="nobody has this")),
        ),
    ),
    Mutation(
        "updateNotificationPreferences",
        some_preferences,
        frozenset({"shop_manager", "administrator", "service"}),
        {"preferences": [{"kind": "REFUND", "enabled": False}]},
        (
            *KEYS,
            *WALLETS,
            UNKNOWN_STORE_ID,
            refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
            refused(
                "one twice",
                "FIELD_INVALID",
                "preferences.kind",
                sends(preferences=[{"kind": "REFUND", "enabled": on} for on in (True, False)]),
            ),
            refused(
                "too many",
                "FIELD_INVALID",
                "preferences",
                sends(preferences=[{"kind": "REFUND", "enabled": True}] * 17),
            ),
            refused(
                "what warns",
                "FIELD_INVALID",
                "preferences.kind",
                sends(preferences=[{"kind": "WITHDRAWAL_REQUESTED", "enabled": False}]),
            ),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "recordEvent",
        an_event,
        frozenset({"shop_manager", "administrator", "service"}),
        {"eventId": "another one"},
        (
            *CUSTOMERS[:3],
            *KEYS,
            refused("no event", "FIELD_INVALID", "event", sends(event="")),
            refused("a sentence", "FIELD_INVALID", "event", sends(event="Wrote a review")),
            refused("long event", "FIELD_INVALID", "event", sends(event="e" * 101)),
            refused("no event's id", "FIELD_INVALID", "eventId", sends(eventId="")),
            refused("long event's id", "FIELD_INVALID", "eventId", sends(eventId="e" * 129)),
            refused("the day after tomorrow", "FIELD_INVALID", "occurredAt", sends(occurredAt=ago(days=-2))),
            refused("one's own", "OWN_WALLET", "storeCustomerId", by_oneself),
        ),
    ),
    Mutation(
        "recordTopUp",
        a_top_up,
        frozenset({"shop_manager", "administrator", "service"}),
        {"paymentMethod": "invoice"},
        (
            *KEYS,
            *WALLETS,
            refused("negative", "FIELD_INVALID", "paid.amount", sends_amount("-0.01", name="paid")),
            refused(
                "a tenth of a cent", "AMOUNT_TOO_PRECISE", "paid.amount", sends_amount("0.001", name="paid")
            ),
            refused("40 digits", "FIELD_INVALID", "paid.amount", sends_amount("9" * 40, name="paid")),
            refused(
                "another currency", "CURRENCY_MISMATCH", "paid.currency", sends_euros("paid", "faceValue")
            ),
            refused(
                "two currencies",
                "CURRENCY_MISMATCH",
                "faceValue.currency",
                sends_amount("5.00", "EUR", name="faceValue"),
            ),
            refused(
                "negative value", "FIELD_INVALID", "faceValue.amount", sends_amount("-1", name="faceValue")
            ),
            refused("no source", "FIELD_INVALID", "source", sends(source="Web shop")),
            refused("no external id", "FIELD_INVALID", "externalId", sends(externalId="")),
            refused("long method", "FIELD_INVALID", "paymentMethod", sends(paymentMethod="m" * 65)),
            refused("paid in the future", "FIELD_INVALID", "paidAt", sends(paidAt=ago(days=-2))),
            refused("changed in the future", "FIELD_INVALID", "modifiedAt", sends(modifiedAt=ago(days=-2))),
            refused("one's own", "OWN_WALLET", "wallet", by_oneself),
            refused("a stranger's", "TOP_UP_OF_ANOTHER", "externalId", a_stranger_topped_up),
        ),
    ),
    Mutation(
        "startTopUp",
        a_top_up_to_start,
        frozenset({"shop_manager", "administrator", "service"}),
        {"paymentMethod": None},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            refused("less than the least", "TOP_UP_LIMIT_REACHED", "amount.amount", sends_amount("0.99")),
            refused("by the wallet", "FIELD_INVALID", "paymentMethod", sends(paymentMethod="wallet")),
            refused("by another method", "FIELD_INVALID", "paymentMethod", sends(paymentMethod="cheque")),
            refused("no top-ups", "TOP_UPS_OFF", "wallet", takes_none),
            refused("frozen", "WALLET_FROZEN", "wallet", frozen),
            refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "cancelTopUp",
        a_top_up_to_leave,
        frozenset({"shop_manager", "administrator", "service"}),
        {},
        (
            *KEYS,
            refused("no id", "FIELD_INVALID", "topUpIntentId", sends(topUpIntentId="garbage")),
            refused(
                "unknown", "NOT_FOUND", "topUpIntentId", sends(topUpIntentId=encode_id("TopUpIntent", NOBODY))
            ),
            refused("paid", "TOP_UP_NOT_OPEN", "topUpIntentId", left_and_paid),
            refused("a stranger's", "NOT_FOUND", "topUpIntentId", of_a_stranger),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "setAutoTopUp",
        a_rule_of_top_ups,
        frozenset({"shop_manager", "administrator", "service"}),
        {"paymentToken": "tok-82"},
        (
            *KEYS,
            *WALLETS,
            refused("less than the least", "TOP_UP_LIMIT_REACHED", "amount.amount", sends_amount("0.99")),
            refused("two currencies", "CURRENCY_MISMATCH", "threshold.currency", sends_amount("5.00", "EUR")),
            refused("no threshold", "FIELD_INVALID", "threshold", sends(threshold=None)),
            refused("a day too", "FIELD_INVALID", "dayOfMonth", sends(dayOfMonth=1)),
            refused(
                "the 32nd",
                "FIELD_INVALID",
                "dayOfMonth",
                sends(kind="MONTHLY", threshold=None, dayOfMonth=32),
            ),
            refused("by the wallet", "FIELD_INVALID", "paymentMethod", sends(paymentMethod="wallet")),
            refused("no token", "FIELD_INVALID", "paymentToken", sends(paymentToken="")),
            refused(
                "a card's number", "FIELD_INVALID", "paymentToken", sends(paymentToken="4111111111111111")
            ),
            refused("long token", "FIELD_INVALID", "paymentToken", sends(paymentToken="t" * 129)),
            refused("no top-ups", "TOP_UPS_OFF", "wallet", takes_none),
            refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    *(
        Mutation(
            name,
            a_rule_to_stop,
            frozenset({"shop_manager", "administrator", "service"}),
            {},
            (
                *KEYS,
                refused("no id", "FIELD_INVALID", "autoTopUpId", sends(autoTopUpId="garbage")),
                refused(
                    "unknown", "NOT_FOUND", "autoTopUpId", sends(autoTopUpId=encode_id("AutoTopUp", NOBODY))
                ),
                refused("a stranger's", "NOT_FOUND", "autoTopUpId", of_a_stranger),
            ),
            owner="",
            others="NOT_FOUND",
        )
        for name in ("pauseAutoTopUp", "cancelAutoTopUp")
    ),
    Mutation(
        "reportAutoTopUpCharge",
        a_charge,
        frozenset({"shop_manager", "administrator", "service"}),
        {"paymentMethod": "card"},
        (
            *KEYS,
            refused("no id", "FIELD_INVALID", "chargeId", sends(chargeId="garbage")),
            refused("unknown", "NOT_FOUND", "chargeId", sends(chargeId=encode_id("AutoTopUpCharge", NOBODY))),
            refused("nothing said", "FIELD_INVALID", "paid", says_nothing_was_kept),
            refused("negative", "FIELD_INVALID", "paid.amount", sends_amount("-1.00", name="paid")),
            refused("declined and paid", "FIELD_INVALID", "paid", sends(outcome="DECLINED")),
            refused("no source", "FIELD_INVALID", "source", sends(source="Web shop")),
            refused(
                "declined after it was paid", "TOP_UP_CHARGE_NOT_OPEN", "chargeId", declines_what_was_paid
            ),
            refused("one's own", "OWN_WALLET", "chargeId", by_oneself),
        ),
    ),
    Mutation(
        "requestWithdrawal",
        a_request,
        frozenset({"support", "shop_manager", "administrator", "service"}),
        {"note": "To my other account, please"},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            UNKNOWN_STORE_ID,
            refused("more than there is", "INSUFFICIENT_FUNDS", "amount", sends_amount("100.01")),
            refused("bonus money", "INSUFFICIENT_FUNDS", "amount", wants_promo),
            *PAYOUT_METHODS,
            refused("to a new place", "PAYOUT_METHOD_NOT_USABLE", "payoutMethodId", to_a_new_method),
            refused("to a stranger's place", "NOT_FOUND", "payoutMethodId", to_a_strangers_method),
            refused("asked for already", "INSUFFICIENT_FUNDS", "amount", wants_it_twice),
            refused("frozen", "WALLET_FROZEN", "wallet", frozen),
            refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
            refused("of a newcomer", "NOT_FOUND", "wallet", has_no_wallet),
            refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
            refused("note with a bell", "TEXT_NOT_ALLOWED", "note", sends(note="Now\u0007")),
            refused("no such method", "FIELD_INVALID", "method", sends(method="CARRIER_PIGEON")),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "reviewWithdrawal",
        a_withdrawal,
        REVIEWERS,
        {"note": "Asked the bank about the name"},
        (*KEYS, *WITHDRAWALS, *REMARKS, BY_ONESELF),
    ),
    Mutation(
        "approveWithdrawal",
        a_withdrawal,
        REVIEWERS,
        {"note": "Asked the bank about the name"},
        (
            *KEYS,
            *WITHDRAWALS,
            *REMARKS,
            BY_ONESELF,
            refused("frozen", "WALLET_FROZEN", "withdrawalId", frozen),
        ),
    ),
    Mutation(
        "approveWithdrawals",
        withdrawals_to_decide,
        REVIEWERS,
        {"note": "Asked the bank about the names"},
        (*KEYS, *SEVERAL, *REMARKS),
    ),
    Mutation(
        "rejectWithdrawals",
        withdrawals_to_refuse,
        REVIEWERS,
        {"note": "The bank sent the money back twice"},
        (*NOTES, *KEYS, *SEVERAL),
    ),
    Mutation(
        "markWithdrawalProcessing",
        an_approved_withdrawal,
        REVIEWERS,
        {"note": "Sent with the morning's transfers"},
        (
            *KEYS,
            *WITHDRAWALS,
            *REMARKS,
            BY_ONESELF,
            refused("frozen", "WALLET_FROZEN", "withdrawalId", frozen),
        ),
    ),
    Mutation(
        "markWithdrawalFailed",
        a_withdrawal_that_is_sent,
        REVIEWERS,
        {"note": "The bank closed the account last week"},
        (
            *NOTES,
            *KEYS,
            *NO_WITHDRAWALS,
            refused("paid", "WITHDRAWAL_NOT_OPEN", "withdrawalId", ended_by("markWithdrawalPaid")),
            refused(
                "returned",
                "WITHDRAWAL_NOT_OPEN",
                "withdrawalId",
                ended_by("markWithdrawalReturned", note=NOTE),
            ),
            BY_ONESELF,
        ),
    ),
    Mutation(
        "markWithdrawalReturned",
        a_paid_withdrawal,
        REVIEWERS,
        {"note": "The bank closed the account last week"},
        (
            *NOTES,
            *KEYS,
            *NO_WITHDRAWALS,
            refused(
                "returned",
                "WITHDRAWAL_NOT_OPEN",
                "withdrawalId",
                ended_by("markWithdrawalReturned", note=NOTE),
            ),
            BY_ONESELF,
        ),
    ),
    Mutation(
        "resolveWithdrawalProblem",
        a_withdrawal_with_a_problem,
        REVIEWERS,
        {"note": "The customer sent the money back by hand"},
        (
            *NOTES,
            *KEYS,
            *NO_WITHDRAWALS,
            refused(
                "resolved",
                "WITHDRAWAL_NOT_OPEN",
                "withdrawalId",
                ended_by("resolveWithdrawalProblem", note=NOTE),
            ),
            BY_ONESELF,
        ),
    ),
    Mutation(
        "exportWithdrawals",
        withdrawals_to_export,
        REVIEWERS,
        {"withdrawalIds": None, "filter": {"methods": ["MANUAL"]}},
        (
            *KEYS,
            *SEVERAL,
            refused("neither ids nor filter", "FIELD_INVALID", "withdrawalIds", sends(withdrawalIds=None)),
            refused("both", "FIELD_INVALID", "withdrawalIds", sends(filter={"methods": ["MANUAL"]})),
            refused("no account of the store's", "FIELD_INVALID", "format", sends(format="PAIN_001")),
        ),
    ),
    Mutation(
        "importWithdrawalResults",
        results_of_the_bank,
        REVIEWERS,
        {"content": "reference,outcome\nWD-0000-0000-0000,PAID"},
        (
            *KEYS,
            refused("nothing", "FIELD_INVALID", "content", sends(content="")),
            refused("other columns", "FIELD_INVALID", "content", sends(content="id,status\n1,PAID")),
            refused("no results", "FIELD_INVALID", "content", sends(content="reference,outcome\n")),
            refused(
                "too many",
                "FIELD_INVALID",
                "content",
                sends(content="reference,outcome\n" + "a,PAID\n" * 1_001),
            ),
        ),
    ),
    Mutation(
        "addPayoutMethod",
        a_payout_method,
        frozenset({"shop_manager", "administrator", "service"}),
        {"label": "Another"},
        (
            *KEYS,
            *WALLETS,
            UNKNOWN_STORE_ID,
            refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
            refused("of a newcomer", "NOT_FOUND", "wallet", has_no_wallet),
            refused("one too many", "LIMIT_REACHED", "wallet", has_ten_of_them),
            refused("long label", "FIELD_INVALID", "label", sends(label="l" * 101)),
            refused("no details", "FIELD_INVALID", "details.holder", sends(details={})),
            refused(
                "detail of another kind",
                "FIELD_INVALID",
                "details.email",
                sends(details={"email": "a@b.example"}),
            ),
            refused(
                "wrong iban",
                "FIELD_INVALID",
                "details.iban",
                sends(details={"holder": "Ada", "iban": "DE88370400440532013000"}),
            ),
            refused(
                "wrong routing number",
                "FIELD_INVALID",
                "details.routingNumber",
                sends(
                    kind="BANK_ACCOUNT",
                    details={"holder": "Ada", "routingNumber": "021000022", "accountNumber": "12345678"},
                ),
            ),
            refused(
                "wrong e-mail",
                "FIELD_INVALID",
                "details.email",
                sends(kind="PAYPAL", details={"email": "a"}),
            ),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "removePayoutMethod",
        a_payout_method_to_remove,
        frozenset({"shop_manager", "administrator", "service"}),
        {},
        (
            *KEYS,
            *PAYOUT_METHODS,
            refused("a stranger's", "NOT_FOUND", "payoutMethodId", of_a_stranger),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "revealPayoutMethod",
        a_payout_method_to_read,
        frozenset({"finance", "shop_manager", "administrator"}),
        {"note": "To pay withdrawal WD-2 by hand"},
        (*KEYS, *NOTES, *PAYOUT_METHODS),
    ),
    Mutation(
        "cancelWithdrawal",
        a_withdrawal,
        frozenset({"support", "shop_manager", "administrator", "service"}),
        {},
        (*KEYS, *WITHDRAWALS, refused("a stranger's", "NOT_FOUND", "withdrawalId", of_a_stranger)),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "rejectWithdrawal",
        a_withdrawal_to_refuse,
        frozenset({"finance", "shop_manager", "administrator"}),
        {"note": "The bank sent the money back twice"},
        (*NOTES, *KEYS, *WITHDRAWALS, refused("one's own", "OWN_WALLET", "withdrawalId", by_oneself)),
    ),
    Mutation(
        "markWithdrawalPaid",
        a_withdrawal,
        frozenset({"finance", "shop_manager", "administrator"}),
        {"payoutReference": "SEPA-2031-04"},
        (
            *KEYS,
            *WITHDRAWALS,
            refused("one's own", "OWN_WALLET", "withdrawalId", by_oneself),
            refused("frozen", "WALLET_FROZEN", "withdrawalId", frozen),
            refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
            refused("note with a bell", "TEXT_NOT_ALLOWED", "note", sends(note="Now\u0007")),
            refused("long reference", "FIELD_INVALID", "payoutReference", sends(payoutReference="p" * 129)),
            refused(
                "reference of two lines", "TEXT_NOT_ALLOWED", "payoutReference", sends(payoutReference="a\nb")
            ),
        ),
    ),
    Mutation(
        "authorizePayment",
        a_checkout,
        frozenset({"shop_manager", "administrator", "service"}),
        {"buckets": ["CASH"]},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            *CHECKOUTS,
            refused("no time", "FIELD_INVALID", "lifetimeMinutes", sends(lifetimeMinutes=0)),
            refused("endless", "FIELD_INVALID", "lifetimeMinutes", sends(lifetimeMinutes=43_201)),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "payOrder",
        a_checkout,
        frozenset({"shop_manager", "administrator", "service"}),
        {"buckets": ["CASH"]},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            *(case for case in CHECKOUTS if case.name != "of a newcomer"),
            refused("not told of", "ORDER_UNKNOWN", "order", has_no_wallet),
        ),
        owner="ORDER_UNKNOWN",
        others="NOT_FOUND",
    ),
    Mutation(
        "capturePayment",
        a_payment_to_capture,
        frozenset({"shop_manager", "administrator", "service"}),
        {"final": False},
        (
            *AMOUNTS,
            *KEYS,
            *PAYMENTS,
            refused("more than is held", "PAYMENT_EXCEEDED", "amount", sends_amount("60.01")),
        ),
    ),
    Mutation(
        "voidPayment",
        a_payment,
        frozenset({"shop_manager", "administrator", "service"}),
        {},
        (
            *KEYS,
            *PAYMENTS,
            refused("a stranger's", "NOT_FOUND", "paymentId", of_a_stranger),
            refused("captured in part", "PAYMENT_NOT_OPEN", "paymentId", captured_in_part),
            refused("work on it", "ORDER_NOT_PAYABLE", "paymentId", held_for_a_paid_order),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "recordOrder",
        an_order,
        frozenset({"shop_manager", "administrator", "service"}),
        {"total": "90.00"},
        (
            *KEYS,
            refused("no source", "FIELD_INVALID", "source", sends(source="Web shop")),
            refused("no external id", "FIELD_INVALID", "externalId", sends(externalId="")),
            refused("long external id", "FIELD_INVALID", "externalId", sends(externalId="o" * 129)),
            refused("changed in the future", "FIELD_INVALID", "modifiedAt", sends(modifiedAt=ago(days=-2))),
            refused("negative total", "FIELD_INVALID", "total", sends(total="-0.01")),
            refused("a cent too many", "FIELD_INVALID", "total", sends(total="10000000000000.01")),
            refused("40 digits", "FIELD_INVALID", "total", sends(total="9" * 40)),
            refused("negative tax", "FIELD_INVALID", "tax", sends(tax="-1")),
            refused("negative rest", "FIELD_INVALID", "paidOtherwise", sends(paidOtherwise="-1")),
            refused("status with a bell", "TEXT_NOT_ALLOWED", "storeStatus", sends(storeStatus="paid\u0007")),
            refused(
                "no customer",
                "FIELD_INVALID",
                "customer.storeCustomerId",
                sends(customer={"storeCustomerId": ""}),
            ),
            refused("no line", "FIELD_INVALID", "lines.lineId", sends_line(lineId="")),
            refused("negative line", "FIELD_INVALID", "lines.total", sends_line(total="-1")),
            refused(
                "many categories", "FIELD_INVALID", "lines.categories", sends_line(categories=["c"] * 51)
            ),
            refused("negative quantity", "FIELD_INVALID", "lines.quantity", sends_line(quantity="-1")),
            refused("too many of it", "FIELD_INVALID", "lines.quantity", sends_line(quantity="1" + 13 * "0")),
            refused("one line twice", "FIELD_INVALID", "lines.lineId", sends(lines=[LINES[0]] * 2)),
            refused(
                "negative quantity of a refund",
                "FIELD_INVALID",
                "refunds.lines.quantity",
                sends(
                    refunds=[
                        {
                            "storeRefundId": "1",
                            "amount": "1.00",
                            "lines": [{"lineId": "1", "quantity": "-1"}],
                        }
                    ]
                ),
            ),
            refused(
                "many lines",
                "FIELD_INVALID",
                "lines",
                sends(lines=[LINES[0] | {"lineId": str(n)} for n in range(501)]),
            ),
            refused("many coupons", "FIELD_INVALID", "coupons", sends(coupons=[{"code": "TEN"}] * 101)),
            refused(
                "negative coupon",
                "FIELD_INVALID",
                "coupons.discount",
                sends(coupons=[{"code": "TEN", "discount": "-1"}]),
            ),
            refused(
                "one refund twice",
                "FIELD_INVALID",
                "refunds.storeRefundId",
                sends(refunds=[{"storeRefundId": "1", "amount": "1.00"}] * 2),
            ),
            refused(
                "no refund",
                "FIELD_INVALID",
                "refunds.storeRefundId",
                sends(refunds=[{"storeRefundId": "", "amount": "1"}]),
            ),
            refused(
                "negative refund",
                "FIELD_INVALID",
                "refunds.amount",
                sends(refunds=[{"storeRefundId": "1", "amount": "-1"}]),
            ),
            refused(
                "no subscription",
                "FIELD_INVALID",
                "subscription.reference",
                sends(subscription={"reference": ""}),
            ),
        ),
    ),
    Mutation(
        "claimOrder",
        a_guests_order,
        frozenset({"shop_manager", "administrator", "service"}),
        {"storeCustomerId": "somebody else"},
        (
            *KEYS,
            *ORDERS,
            *CUSTOMERS[:3],
            refused("claimed before", "ORDER_OF_ANOTHER", "order", claimed_before),
        ),
    ),
    Mutation(
        "refundOrder",
        a_paid_order,
        frozenset({"support", "shop_manager", "administrator", "service"}),
        {"note": "Parcel of order 1043 arrived broken"},
        (
            *AMOUNTS,
            *NOTES,
            *KEYS,
            *ORDERS,
            refused("one's own", "OWN_WALLET", "order", by_oneself),
            refused("more than was paid", "REFUND_EXCEEDED", "amount", sends_amount("80.01")),
            refused("not paid", "ORDER_NOT_REFUNDABLE", "order", refunds_another()),
            refused("cancelled", "ORDER_NOT_REFUNDABLE", "order", refunds_another(status="CANCELLED")),
            refused("a guest's", "ORDER_NOT_REFUNDABLE", "order", refunds_another(guest=True, status="PAID")),
            refused(
                "order in another currency",
                "CURRENCY_MISMATCH",
                "order",
                refunds_another(status="PAID", currency="EUR"),
            ),
            refused("elsewhere", "RIGHTS_EXCEEDED", "destination", redirects),
            refused("as bonus", "RIGHTS_EXCEEDED", "bucket", redirects_bucket),
            refused("amount and lines", "FIELD_INVALID", "amount", sends(lines=[{"lineId": "1"}])),
            refused("amount and shipping", "FIELD_INVALID", "amount", sends(withShipping=True)),
            refused(
                "a line twice", "FIELD_INVALID", "lines", sends(amount=None, lines=[{"lineId": "1"}] * 2)
            ),
            refused(
                "many lines",
                "FIELD_INVALID",
                "lines",
                sends(amount=None, lines=[{"lineId": str(n)} for n in range(101)]),
            ),
            refused(
                "unknown line", "FIELD_INVALID", "lines.0.lineId", sends(amount=None, lines=[{"lineId": "9"}])
            ),
            refused(
                "too many",
                "REFUND_EXCEEDED",
                "lines.0.quantity",
                sends(amount=None, lines=[{"lineId": "1", "quantity": "3.01"}]),
            ),
            refused(
                "none",
                "REFUND_EXCEEDED",
                "lines.0.quantity",
                sends(amount=None, lines=[{"lineId": "1", "quantity": "0"}]),
            ),
            refused(
                "fewer than none",
                "REFUND_EXCEEDED",
                "lines.0.quantity",
                sends(amount=None, lines=[{"lineId": "1", "quantity": "-1"}]),
            ),
            refused(
                "far too many",
                "REFUND_EXCEEDED",
                "lines.0.quantity",
                sends(amount=None, lines=[{"lineId": "1", "quantity": "9" * 40}]),
            ),
            refused(
                "more than the line",
                "REFUND_EXCEEDED",
                "lines.0",
                sends(amount=None, lines=[{"lineId": "1", "amount": {"amount": "60.01", "currency": "USD"}}]),
            ),
            refused(
                "line in another currency",
                "CURRENCY_MISMATCH",
                "lines.0.amount.currency",
                sends(amount=None, lines=[{"lineId": "1", "amount": {"amount": "1.00", "currency": "EUR"}}]),
            ),
            refused(
                "line of nothing",
                "AMOUNT_NOT_POSITIVE",
                "lines.0.amount.amount",
                sends(amount=None, lines=[{"lineId": "1", "amount": {"amount": "0", "currency": "USD"}}]),
            ),
            refused(
                "more shipping",
                "REFUND_EXCEEDED",
                "shipping.amount",
                sends(amount=None, shipping={"amount": "10.01", "currency": "USD"}),
            ),
            refused("lines nobody told of", "FIELD_INVALID", "lines", refunds_lines_of_an_untold_order),
            refused("empty store id", "FIELD_INVALID", "storeRefundId", sends(storeRefundId="")),
            refused("long store id", "FIELD_INVALID", "storeRefundId", sends(storeRefundId="r" * 129)),
        ),
    ),
    Mutation(
        "chargeRenewal",
        a_renewal,
        frozenset({"shop_manager", "administrator", "service"}),
        {"subscription": "another one"},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            *ORDER_NAMES,
            *SUBSCRIPTIONS,
            refused("more than there is", "INSUFFICIENT_FUNDS", "amount", sends_amount("100.01")),
            refused(
                "of a newcomer",
                "INSUFFICIENT_FUNDS",
                "amount",
                sends(wallet={"storeCustomerId": "nobody has this"}),
            ),
            refused("frozen", "WALLET_FROZEN", "wallet", frozen),
            refused("cancelled", "ORDER_NOT_PAYABLE", "order", told_of(status="CANCELLED")),
            refused("a stranger's order", "ORDER_OF_ANOTHER", "order", pays_a_strangers_order),
            refused("order in another currency", "CURRENCY_MISMATCH", "order", told_of(currency="EUR")),
        ),
    ),
    Mutation(
        "announceRenewal",
        an_announcement,
        frozenset({"shop_manager", "administrator", "service"}),
        {"description": "Tea of the month"},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            *SUBSCRIPTIONS,
            refused("no source", "FIELD_INVALID", "source", sends(source="Web shop")),
            refused("long description", "FIELD_INVALID", "description", sends(description="d" * 201)),
            refused(
                "description with a bell", "TEXT_NOT_ALLOWED", "description", sends(description="Tea\u0007")
            ),
        ),
    ),
    Mutation(
        "issueGiftCards",
        new_gift_cards,
        frozenset({"shop_manager", "administrator", "service"}),
        {"count": 4},
        (
            *AMOUNTS,
            *KEYS,
            *GIFT_CARD_NOTES,
            refused(
                "list in another currency",
                "CURRENCY_MISMATCH",
                "currency",
                sends(amount=None, count=None, csv="amount\n5.00", currency="EUR"),
            ),
            refused("no amount", "FIELD_INVALID", "amount", sends(amount=None)),
            refused("no card", "FIELD_INVALID", "count", sends(count=0)),
            refused("too many", "FIELD_INVALID", "count", sends(count=1001)),
            refused("long label", "FIELD_INVALID", "label", sends(label="l" * 101)),
            refused("label with a bell", "TEXT_NOT_ALLOWED", "label", sends(label="Spring\u0007")),
            refused("of yesterday", "EXPIRY_IN_PAST", "expiresAt", sends(expiresAt=ago(days=1))),
            refused("two currencies", "FIELD_INVALID", "currency", sends(currency="USD")),
            refused("amount and list", "FIELD_INVALID", "csv", sends(csv="amount\n5.00")),
            refused("empty list", "FIELD_INVALID", "csv", sends_list("")),
            refused("list without names", "FIELD_INVALID", "csv", sends_list("5.00\n6.00")),
            refused("list of names", "FIELD_INVALID", "csv", sends_list("amount,label")),
            refused("list with other names", "FIELD_INVALID", "csv", sends_list("amount,colour\n5.00,red")),
            refused("list with a bad amount", "FIELD_INVALID", "csv", sends_list("amount\n5.00\n-1")),
            refused("list with a short line", "FIELD_INVALID", "csv", sends_list("amount,label\n5.00")),
            refused("list with no date", "FIELD_INVALID", "csv", sends_list("amount,expires_at\n5.00,soon")),
            refused("list with an open quote", "FIELD_INVALID", "csv", sends_list('amount,label\n5.00,"x')),
            refused("long list", "FIELD_INVALID", "csv", sends_list("amount\n" + "5.00\n" * 1001)),
        ),
    ),
    Mutation(
        "activateGiftCard",
        an_inactive_gift_card,
        frozenset({"shop_manager", "administrator", "service"}),
        {"note": "Sold with order 1042"},
        (
            *KEYS,
            *GIFT_CARDS,
            refused("active already", "GIFT_CARD_NOT_USABLE", "giftCardId", with_the_card(activates)),
            refused("stopped", "GIFT_CARD_NOT_USABLE", "giftCardId", with_the_card(disables)),
            refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
        ),
    ),
    Mutation(
        "disableGiftCard",
        an_active_gift_card,
        frozenset({"shop_manager", "administrator", "service"}),
        {"note": "Reported stolen by the courier"},
        (
            *KEYS,
            *GIFT_CARDS,
            *GIFT_CARD_NOTES,
            refused("stopped already", "GIFT_CARD_NOT_USABLE", "giftCardId", with_the_card(disables)),
        ),
    ),
    Mutation(
        "enableGiftCard",
        a_disabled_gift_card,
        frozenset({"shop_manager", "administrator", "service"}),
        {"note": "Found again in the office"},
        (
            *KEYS,
            *GIFT_CARDS,
            *GIFT_CARD_NOTES,
            refused("not stopped", "GIFT_CARD_NOT_USABLE", "giftCardId", with_the_card(enables)),
        ),
    ),
    Mutation(
        "redeemGiftCard",
        a_redemption,
        frozenset({"shop_manager", "administrator", "service"}),
        {"amount": None},
        (
            *AMOUNTS,
            *KEYS,
            *WALLETS,
            refused("unknown code", "NOT_FOUND", "code", sends(code="0000-0000-0000-0000-0000")),
            refused("no code", "NOT_FOUND", "code", sends(code="")),
            refused("long code", "FIELD_INVALID", "code", sends(code="7" * 101)),
            refused("code with NUL", "TEXT_NOT_ALLOWED", "code", sends(code="7\u0000")),
            refused("mistyped", "NOT_FOUND", "code", mistypes),
            refused("not activated", "NOT_FOUND", "code", redeems_another(active=False)),
            refused("stopped", "GIFT_CARD_NOT_USABLE", "code", redeems_a_disabled_card),
            refused("redeemed", "GIFT_CARD_NOT_USABLE", "code", redeemed_before),
            refused(
                "in another currency",
                "CURRENCY_MISMATCH",
                "code",
                redeems_euros,
            ),
            refused("more than is on it", "INSUFFICIENT_FUNDS", "amount", sends_amount("25.01")),
            refused("a part", "GIFT_CARD_NOT_PARTIAL", "amount", sends_amount("24.99")),
            refused("frozen", "WALLET_FROZEN", "wallet", frozen),
            refused("gift cards are off", "GIFT_CARDS_OFF", "code", gift_cards_are_off),
            refused("into a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
            refused("one's own work", "OWN_WALLET", "wallet", issued_it_oneself),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "cancelRenewal",
        an_announced_renewal,
        frozenset({"shop_manager", "administrator", "service"}),
        {},
        (
            *KEYS,
            *SUBSCRIPTIONS,
            refused("no source", "FIELD_INVALID", "source", sends(source="Web shop")),
            refused("unknown", "NOT_FOUND", "subscription", sends(subscription="nobody has this")),
        ),
    ),
    Mutation(
        "updateSettings",
        new_settings,
        frozenset({"administrator"}),
        {"inactiveAfterMonths": 10},
        (
            *KEYS,
            refused("short note", "NOTE_TOO_SHORT", "note", sends(note="because")),
            refused("long note", "NOTE_TOO_LONG", "note", sends(note=TOO_LONG)),
            refused("note with a bell", "TEXT_NOT_ALLOWED", "note", sends(note="Agreed with finance\u0007")),
            refused("no months", "FIELD_INVALID", "inactiveAfterMonths", sends(inactiveAfterMonths=0)),
            refused(
                "ten years and more", "FIELD_INVALID", "inactiveAfterMonths", sends(inactiveAfterMonths=121)
            ),
            refused("no high balance", "FIELD_INVALID", "highBalance", sends_amount("0", name="highBalance")),
            refused(
                "negative", "FIELD_INVALID", "highBalance.amount", sends_amount("-1.00", name="highBalance")
            ),
            refused(
                "too large", "FIELD_INVALID", "highBalance.amount", sends_amount("9" * 40, name="highBalance")
            ),
            refused(
                "too precise",
                "AMOUNT_TOO_PRECISE",
                "negativeBalanceLimit.amount",
                sends_amount("1.001", name="negativeBalanceLimit"),
            ),
            refused(
                "another currency",
                "CURRENCY_MISMATCH",
                "negativeBalanceLimit.currency",
                sends_amount("1.00", "EUR", name="negativeBalanceLimit"),
            ),
            refused("no hours", "FIELD_INVALID", "topUpHours", sends(topUpHours=0)),
            refused("many hours", "FIELD_INVALID", "topUpHours", sends(topUpHours=721)),
            refused("paid by itself", "FIELD_INVALID", "topUpMethods", sends(topUpMethods=["wallet"])),
            refused("many products", "FIELD_INVALID", "topUpProducts", sends(topUpProducts=["p"] * 101)),
            refused(
                "nothing suggested",
                "FIELD_INVALID",
                "topUpSuggested.amount",
                sends(topUpSuggested=[{"amount": "0.00", "currency": "USD"}]),
            ),
            refused(
                "less than the least",
                "FIELD_INVALID",
                "topUpMaximum",
                sends(
                    topUpMinimum={"amount": "5.00", "currency": "USD"},
                    topUpMaximum={"amount": "4.00", "currency": "USD"},
                ),
            ),
            refused("no time", "FIELD_INVALID", "paymentHoldMinutes", sends(paymentHoldMinutes=0)),
            refused("endless", "FIELD_INVALID", "paymentHoldMinutes", sends(paymentHoldMinutes=43_201)),
            refused("no grace", "FIELD_INVALID", "refundGraceDays", sends(refundGraceDays=-1)),
            refused("endless grace", "FIELD_INVALID", "refundGraceDays", sends(refundGraceDays=366)),
            refused("no zone", "FIELD_INVALID", "timeZone", sends(timeZone="Mars/Olympus")),
            refused("no file", "FIELD_INVALID", "timeZone", sends(timeZone="../../etc/passwd")),
            refused("returned before", "FIELD_INVALID", "returnPeriodDays", sends(returnPeriodDays=-1)),
            refused("returned for ever", "FIELD_INVALID", "returnPeriodDays", sends(returnPeriodDays=366)),
            refused(
                "empty method", "FIELD_INVALID", "walletPaymentMethods", sends(walletPaymentMethods=[""])
            ),
            refused(
                "many methods",
                "FIELD_INVALID",
                "walletPaymentMethods",
                sends(walletPaymentMethods=["w"] * 21),
            ),
            refused(
                "empty status",
                "FIELD_INVALID",
                "orderStatuses.storeStatus",
                sends(orderStatuses=[{"storeStatus": " ", "means": "PAID"}]),
            ),
            refused(
                "a status twice",
                "FIELD_INVALID",
                "orderStatuses.storeStatus",
                sends(orderStatuses=[{"storeStatus": "packed", "means": "PAID"}] * 2),
            ),
            refused(
                "many statuses",
                "FIELD_INVALID",
                "orderStatuses",
                sends(orderStatuses=[{"storeStatus": str(n), "means": "PAID"} for n in range(51)]),
            ),
            refused(
                "no limit",
                "FIELD_INVALID",
                "negativeBalanceLimit",
                sends(negativeBalanceEnabled=True, negativeBalanceLimit={"amount": "0", "currency": "USD"}),
            ),
        ),
    ),
    Mutation(
        "createCashbackRule",
        a_new_rule,
        RULE_WRITERS,
        {"note": "Agreed with the owner in June"},
        (*REASONS, *KEYS, *rule_refusals("rule")),
    ),
    Mutation(
        "updateCashbackRule",
        a_changed_rule,
        RULE_WRITERS,
        {"note": "Agreed with the owner in June"},
        (
            *RULES,
            *rule_refusals("changes"),
            refused("archived", "FIELD_INVALID", "ruleId", archived),
        ),
    ),
    Mutation(
        "activateCashbackRule",
        a_draft,
        RULE_WRITERS,
        {"note": "Agreed with the owner in June"},
        (*RULES, refused("archived", "FIELD_INVALID", "ruleId", archived)),
    ),
    Mutation(
        "pauseCashbackRule",
        an_active_rule,
        RULE_WRITERS,
        {"note": "Agreed with the owner in June"},
        (
            *RULES,
            refused("archived", "FIELD_INVALID", "ruleId", archived),
            refused("never started", "FIELD_INVALID", "ruleId", never_started),
        ),
    ),
    Mutation(
        "archiveCashbackRule",
        an_active_rule,
        RULE_WRITERS,
        {"note": "Agreed with the owner in June"},
        (*RULES, refused("archived", "FIELD_INVALID", "ruleId", archived)),
    ),
    Mutation(
        "createPromotion",
        a_new_promotion,
        frozenset({"shop_manager", "administrator"}),
        {"name": "Summer"},
        (
            *REASONS,
            *KEYS,
            *PROMOTIONS,
            refused("neither", "FIELD_INVALID", "amount", sends(amount=None)),
            refused("empty name", "FIELD_INVALID", "name", sends(name=" ")),
            refused("over already", "FIELD_INVALID", "status", sends(status="ARCHIVED")),
        ),
    ),
    Mutation(
        "updatePromotion",
        a_changed_promotion,
        frozenset({"shop_manager", "administrator"}),
        {"name": "Autumn"},
        (
            *REASONS,
            *KEYS,
            *PROMOTION_IDS,
            *PROMOTIONS,
            refused("a draft again", "FIELD_INVALID", "status", sends(status="DRAFT")),
        ),
    ),
    Mutation(
        "createCouponCodes",
        new_codes,
        frozenset({"shop_manager", "administrator"}),
        {"usesMax": 2},
        (
            *KEYS,
            *PROMOTION_IDS,
            refused("nothing", "FIELD_INVALID", "code", sends_codes()),
            refused("two ways", "FIELD_INVALID", "code", sends(code="SPRING-5")),
            refused("short code", "FIELD_INVALID", "code", sends_codes(code="AB")),
            refused("long code", "FIELD_INVALID", "code", sends_codes(code="A" * 49)),
            refused("code with a blank", "FIELD_INVALID", "code", sends_codes(code="SPRING 5")),
            refused("code that begins oddly", "FIELD_INVALID", "code", sends_codes(code="=SPRING")),
            refused("taken", "NAME_TAKEN", "code", takes_a_code),
            refused("taken in a file", "NAME_TAKEN", "csv", imports_a_code),
            refused("empty file", "FIELD_INVALID", "csv", sends_codes(csv="code\n\n")),
            refused("file of other things", "FIELD_INVALID", "csv", sends_codes(csv="code\nSPRING 5\n")),
            refused("open quotes", "FIELD_INVALID", "csv", sends_codes(csv='code\n"A\x00B')),
            refused(
                "none", "FIELD_INVALID", "generate.count", sends(generate={"count": 0, "prefix": "SPRING"})
            ),
            refused(
                "too many",
                "FIELD_INVALID",
                "generate.count",
                sends(generate={"count": 10_001, "prefix": "SPRING"}),
            ),
            refused(
                "long prefix",
                "FIELD_INVALID",
                "generate.prefix",
                sends(generate={"count": 1, "prefix": "S" * 21}),
            ),
            refused("never used", "FIELD_INVALID", "usesMax", sends(usesMax=0)),
        ),
    ),
    Mutation(
        "redeemCoupon",
        a_coupon,
        frozenset({"shop_manager", "administrator", "service"}),
        {},
        (
            *KEYS,
            *WALLETS,
            refused("unknown code", "NOT_FOUND", "code", sends(code="NOBODY-HAS-THIS")),
            refused("no code", "NOT_FOUND", "code", sends(code="")),
            refused("a code that can be none", "NOT_FOUND", "code", sends(code="x' OR 1=1")),
            refused("a long code", "FIELD_INVALID", "code", sends(code="x" * 129)),
            refused("a code with NUL", "TEXT_NOT_ALLOWED", "code", sends(code="SPRING\u0000")),
            refused("paused", "NOT_FOUND", "code", paused),
            refused("a draft", "NOT_FOUND", "code", of_a_promotion(status="DRAFT")),
            refused("over", "NOT_FOUND", "code", of_a_promotion(endsAt=ago(minutes=1))),
            refused("to come", "NOT_FOUND", "code", of_a_promotion(startsAt="2031-05-01T00:00:00Z")),
            refused("used", "COUPON_NOT_USABLE", "code", coupon_redeemed_before),
            refused("used up", "COUPON_NOT_USABLE", "code", redeemed_by_another),
            refused("not new", "COUPON_NOT_USABLE", "code", bought_before),
            refused(
                "a percentage",
                "COUPON_NOT_USABLE",
                "code",
                of_a_promotion(amount=None, percent="10"),
            ),
            refused(
                "no budget",
                "COUPON_NOT_USABLE",
                "code",
                of_a_promotion(budget={"amount": "4.99", "currency": "USD"}),
            ),
            refused("more than fits", "COUPON_NOT_USABLE", "code", fills_the_wallet_before),
            refused("a stranger's", "NOT_FOUND", "wallet", of_a_stranger),
        ),
        owner="",
        others="NOT_FOUND",
    ),
    Mutation(
        "createRole",
        a_new_role,
        frozenset({"administrator"}),
        {"description": "Sells for the shop"},
        (
            *REASONS,
            *KEYS,
            *WORDS,
            refused("capital name", "FIELD_INVALID", "name", sends(name="Owner")),
            refused("empty name", "FIELD_INVALID", "name", sends(name="")),
            refused("long name", "FIELD_INVALID", "name", sends(name="r" * 49)),
            refused("name of a preset", "NAME_TAKEN", "name", sends(name="customer")),
            refused("more than one has", "RIGHTS_EXCEEDED", "capabilities", grants_more),
        ),
    ),
    Mutation(
        "updateRole",
        a_changed_role,
        frozenset({"administrator"}),
        {"description": "Sells for the shop"},
        (
            *REASONS,
            *KEYS,
            *WORDS,
            refused("no id", "FIELD_INVALID", "roleId", sends(roleId="garbage")),
            refused("unknown", "NOT_FOUND", "roleId", sends(roleId=encode_id("Role", NOBODY))),
            refused("more than one has", "RIGHTS_EXCEEDED", "capabilities", grants_more),
            refused(
                "less for the administrator",
                "ROLE_PROTECTED",
                "capabilities",
                of_preset("administrator", capabilities=["WALLETS_READ"]),
            ),
            refused(
                "no administrator", "ROLE_PROTECTED", "archived", of_preset("administrator", archived=True)
            ),
            refused("no customer", "ROLE_PROTECTED", "archived", of_preset("customer", archived=True)),
            refused(
                "more for customers",
                "ROLE_PROTECTED",
                "capabilities",
                of_preset("customer", capabilities=["WALLETS_READ"]),
            ),
        ),
    ),
    Mutation(
        "createApiKey",
        a_new_key,
        frozenset({"administrator"}),
        {"capabilities": ["WALLETS_ADJUST"]},
        (
            *REASONS,
            *KEYS,
            refused("empty name", "FIELD_INVALID", "name", sends(name="")),
            refused("long name", "FIELD_INVALID", "name", sends(name="k" * 65)),
            refused("name of two lines", "FIELD_INVALID", "name", sends(name="shop\nback")),
            refused("name of another", "NAME_TAKEN", "name", named_as_another),
            refused("no rights", "FIELD_INVALID", "roleId", sends(capabilities=[])),
            refused("no role", "FIELD_INVALID", "roleId", sends(roleId="garbage")),
            refused(
                "role and capabilities", "FIELD_INVALID", "roleId", sends(roleId=encode_id("Role", NOBODY))
            ),
            refused("archived role", "NOT_FOUND", "roleId", of_an_archived_role),
            refused("over already", "FIELD_INVALID", "expiresAt", sends(expiresAt=ago(seconds=1))),
            refused("more than one has", "RIGHTS_EXCEEDED", "capabilities", grants_more),
        ),
    ),
    Mutation(
        "rotateApiKey",
        a_key,
        frozenset({"administrator"}),
        {"overlapHours": 2},
        (
            *REASONS,
            *KEYS,
            *API_KEYS,
            refused("replaced", "API_KEY_NOT_ACTIVE", "apiKeyId", rotated),
            refused("negative overlap", "FIELD_INVALID", "overlapHours", sends(overlapHours=-1)),
            refused("endless overlap", "FIELD_INVALID", "overlapHours", sends(overlapHours=721)),
            refused("over already", "FIELD_INVALID", "expiresAt", sends(expiresAt=ago(seconds=1))),
            refused("more than one has", "RIGHTS_EXCEEDED", "apiKeyId", by_a_keeper),
        ),
    ),
    Mutation(
        "revokeApiKey",
        a_key,
        frozenset({"administrator"}),
        {"note": "The laptop with the key was stolen"},
        (*REASONS, *KEYS, *API_KEYS),
    ),
    Mutation(
        "replayWebhookDeliveries",
        a_replay,
        frozenset({"shop_manager", "administrator"}),
        {},
        (
            *KEYS,
            refused("no id", "FIELD_INVALID", "deliveryIds.0", sends(deliveryIds=["garbage"])),
            refused(
                "another type's id",
                "FIELD_INVALID",
                "deliveryIds.0",
                sends(deliveryIds=[encode_id("Role", NOBODY)]),
            ),
            refused("no ids", "FIELD_INVALID", "deliveryIds", sends(deliveryIds=[])),
            refused(
                "too many",
                "FIELD_INVALID",
                "deliveryIds",
                sends(deliveryIds=[encode_id("WebhookDelivery", NOBODY)] * 101),
            ),
            refused(
                "unknown",
                "NOT_FOUND",
                "deliveryIds",
                sends(deliveryIds=[encode_id("WebhookDelivery", NOBODY)]),
            ),
            refused("neither", "FIELD_INVALID", "deliveryIds", sends(deliveryIds=None)),
            refused("both", "FIELD_INVALID", "deliveryIds", a_replay_by_filter_too),
            refused(
                "many states",
                "FIELD_INVALID",
                "filter.statuses",
                sends(deliveryIds=None, filter={"statuses": ["DEAD"] * 51}),
            ),
        ),
    ),
    Mutation(
        "createWebhookEndpoint",
        a_new_endpoint,
        frozenset({"administrator"}),
        {"events": ["*"]},
        (
            *REASONS,
            *KEYS,
            *ENDPOINT_PARTS,
            refused("more than one may see", "RIGHTS_EXCEEDED", "events", by_a_listener),
        ),
    ),
    Mutation(
        "updateWebhookEndpoint",
        an_endpoint_to_change,
        frozenset({"administrator"}),
        {"events": ["*"]},
        (
            *REASONS,
            *KEYS,
            *ENDPOINTS,
            *ENDPOINT_PARTS,
            refused("of somebody who sees more", "RIGHTS_EXCEEDED", "webhookEndpointId", by_a_listener),
        ),
    ),
    Mutation(
        "rotateWebhookSecret",
        an_endpoint,
        frozenset({"administrator"}),
        {"overlapHours": 2},
        (
            *REASONS,
            *KEYS,
            *ENDPOINTS,
            refused("negative overlap", "FIELD_INVALID", "overlapHours", sends(overlapHours=-1)),
            refused("endless overlap", "FIELD_INVALID", "overlapHours", sends(overlapHours=169)),
        ),
    ),
    Mutation(
        "enableWebhookEndpoint",
        an_endpoint_that_is_off,
        frozenset({"administrator"}),
        {"note": "The receiver works again"},
        (
            *REASONS,
            *KEYS,
            *ENDPOINTS,
            refused("of somebody who sees more", "RIGHTS_EXCEEDED", "webhookEndpointId", by_a_listener),
        ),
    ),
    Mutation(
        "disableWebhookEndpoint",
        an_endpoint,
        frozenset({"administrator"}),
        {"note": "The receiver is moving house"},
        (*REASONS, *KEYS, *ENDPOINTS),
    ),
    Mutation(
        "sendTestWebhook",
        an_endpoint_to_try,
        frozenset({"administrator"}),
        {},
        (*KEYS, *ENDPOINTS),
    ),
    Mutation(
        "replayOutgoingWebhooks",
        messages_to_send_again,
        frozenset({"administrator"}),
        {},
        (
            *KEYS,
            refused("no id", "FIELD_INVALID", "outgoingWebhookIds.0", sends(outgoingWebhookIds=["garbage"])),
            refused(
                "another type's id",
                "FIELD_INVALID",
                "outgoingWebhookIds.0",
                sends(outgoingWebhookIds=[encode_id("Role", NOBODY)]),
            ),
            refused("no ids", "FIELD_INVALID", "outgoingWebhookIds", sends(outgoingWebhookIds=[])),
            refused(
                "too many",
                "FIELD_INVALID",
                "outgoingWebhookIds",
                sends(outgoingWebhookIds=[encode_id("OutgoingWebhook", NOBODY)] * 101),
            ),
            refused(
                "unknown",
                "NOT_FOUND",
                "outgoingWebhookIds",
                sends(outgoingWebhookIds=[encode_id("OutgoingWebhook", NOBODY)]),
            ),
            refused("neither", "FIELD_INVALID", "outgoingWebhookIds", sends(outgoingWebhookIds=None)),
            refused("both", "FIELD_INVALID", "outgoingWebhookIds", messages_by_filter_too),
        ),
    ),
)
