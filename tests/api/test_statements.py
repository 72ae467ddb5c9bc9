"""Statements are counted: fifty of anything cost as many as one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
import pytest_asyncio

from tests.api.store import ADMINISTRATOR, Caller, JsonObject, Store, fresh

pytestmark = pytest.mark.slow

MANY = 50
SPLITS_MAX = 2
"""Answers of PostgreSQL come in any order, so that what one statement could load is now and then loaded by two."""

_ours: ContextVar[bool] = ContextVar("ours", default=False)


class Statements(logging.Handler):
    """Counts what Tortoise's clients send: each writes every statement to its log, once.

    Only that of the test and of the tasks that it starts, unless `by_all`: the clock's jobs read what they like.
    """

    def __init__(self, *, by_all: bool) -> None:
        super().__init__(logging.DEBUG)
        self.by_all = by_all
        self.sent: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self.by_all or _ours.get():
            self.sent.append(record.getMessage())
            self.records.append(record)


@contextmanager
def counted(*, by_all: bool = False) -> Iterator[Statements]:
    """Count the statements while the block runs."""
    logger = logging.getLogger("tortoise.db_client")
    level, handler = logger.level, Statements(by_all=by_all)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    token = _ours.set(True)
    try:
        yield handler
    finally:
        _ours.reset(token)
        logger.removeHandler(handler)
        logger.setLevel(level)


async def orders_of(api: Store, customer: JsonObject) -> None:
    """Two orders, one paid in two steps and refunded twice, one still held; and a renewal to come."""
    told = api.order(customer, "20.00", lines=[{"lineId": "1", "total": "20.00"}])
    await api.authorize(customer, told, "1.00")
    await api.pay(customer, told, "15.00")
    await api.record(told, status="PAID")
    for amount in ("4.00", "2.00"):
        await api.refund(told, amount)
    await api.authorize(customer, api.order(customer), "5.00")
    announced = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "shop",
        "subscription": customer["storeCustomerId"],
        "amount": api.money("9.00"),
        "dueAt": "2031-05-01T00:00:00Z",
    }
    await api.done("announceRenewal", announced)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(api: Store) -> AsyncIterator[list[JsonObject]]:
    """Fifty customers, each with money of several kinds, a correction, and withdrawals open and paid."""

    code = await api.coupon(await api.promotion())

    async def make(number: int) -> JsonObject:
        customer = await api.funded("100.00", name=f"Crowd {number:02}")
        await api.redeem_coupon(customer, code)
        wrong = await api.adjust(customer, "20.00", bucket="PROMO")
        await api.adjust(customer, "-5.00", corrects=wrong["transaction"]["id"])
        withdrawal = await api.withdrawal(customer)
        paid = await api.withdrawal(customer)
        await api.done("markWithdrawalPaid", {"withdrawalId": paid["id"], "idempotencyKey": paid["id"]})
        await orders_of(api, customer)
        return {**customer, "withdrawal": withdrawal}

    yield list(await asyncio.gather(*(make(number) for number in range(MANY))))


WALLET = """{
  id balance { amount } available { amount } withdrawable { amount } status
  customer { id name wallet { id } }
  buckets { bucket balance { amount } held { amount } nextExpiryAt }
  transactions(first: 5) {
    totalCount
    nodes {
      id actor { kind id } allocations { bucket amount { amount } expiresAt }
      corrects { id note } correctedBy { id note wallet { id } } wallet { id customer { name } }
    }
  }
  filtered: transactions(last: 2, filter: {buckets: [PROMO], direction: DEBIT, search: "parcel"}) { totalCount nodes { id } }
  withdrawals(first: 5) { totalCount nodes { id transaction { id note } wallet { id } } }
  couponRedemptions(first: 5) { totalCount nodes { id promotion { name } transaction { id note } wallet { id } order { id } } }
}"""

ORDER = """{
  id total { amount } customer { id } wallet { id balance { amount } customer { name } } problem paymentState refundState
  leftToPay { amount } walletAuthorized { amount } walletPaid { amount } walletReturned { amount } refunded { amount }
  lines { lineId total { amount } }
  walletDiscount { amount } walletTender { amount } couponRedemptions { id }
  payments { id held { amount } discount { amount } tender { amount } order { id } wallet { id } transactions(first: 5) { totalCount nodes { id allocations { bucket } } } }
  refunds { id toWallet { amount } lines { lineId } order { id } wallet { id } }
  transactions(first: 10) { totalCount nodes { id note actor { kind id } order { id } } }
}"""

QUERIES = {
    "orders": f"query ($n: Int) {{ orders(first: $n) {{ totalCount nodes {ORDER} }} }}",
    "payments": f"query ($n: Int) {{ payments(first: $n) {{ totalCount nodes {{ id order {ORDER} }} }} }}",
    "renewals": (
        "query ($n: Int) { renewals(first: $n) { totalCount nodes { id short { amount } "
        f"wallet {{ id orders(first: 5) {{ totalCount nodes {ORDER} }} payments(first: 5) {{ totalCount nodes {{ id }} }} "
        "upcomingRenewals(first: 5) { totalCount nodes { id short { amount } } } } } } }"
    ),
    "wallets": f'query ($n: Int) {{ wallets(first: $n, search: "crowd") {{ totalCount pageInfo {{ hasNextPage }} nodes {WALLET} }} }}',
    "customers": f'query ($n: Int) {{ customers(first: $n, search: "crowd") {{ totalCount nodes {{ name wallet {WALLET} }} }} }}',
    "transactions": (
        "query ($n: Int) { transactions(first: $n) { totalCount nodes { id allocations { bucket } corrects { id } "
        "correctedBy { id } wallet { id balance { amount } withdrawable { amount } customer { name wallet { id } } } } } }"
    ),
    "withdrawals": (
        "query ($n: Int) { withdrawals(first: $n) { totalCount nodes { id transaction { id allocations { bucket } } "
        "wallet { id buckets { bucket } customer { name } } } } }"
    ),
}


async def statements(store: Store, query: str, variables: JsonObject, caller: Caller = ADMINISTRATOR) -> int:
    """How many statements an operation costs."""
    with counted() as found:
        answer = await store.execute(query, variables, caller)
    assert answer.data
    assert found.sent
    return len(found.sent)


@pytest.mark.parametrize("name", sorted(QUERIES))
async def test_fifty_cost_as_many_as_one(api: Store, crowd: list[JsonObject], name: str) -> None:
    # A few rows of each list ask for all that fifty ask for.
    few = await statements(api, QUERIES[name], {"n": 2 if name in {"wallets", "customers"} else 8})
    many = await statements(api, QUERIES[name], {"n": MANY})
    assert many <= few + SPLITS_MAX
    answer = await api.execute(QUERIES[name], {"n": MANY})
    assert len(answer.data[name]["nodes"]) == MANY


async def test_one_wallet_costs_about_as_much(api: Store, crowd: list[JsonObject]) -> None:
    one = await statements(api, QUERIES["wallets"], {"n": 1})
    many = await statements(api, QUERIES["wallets"], {"n": MANY})
    assert abs(many - one) <= SPLITS_MAX
    # One of them asks whether what is searched for is common, one who has it.
    assert many <= 25


async def test_nodes(api: Store, crowd: list[JsonObject]) -> None:
    query = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ id ... on Wallet {WALLET} ... on Customer {{ wallet {{ id }} }} }} }}"
    few = [
        crowd[0]["wallet"]["id"],
        crowd[0]["id"],
        crowd[0]["transaction"]["id"],
        crowd[0]["withdrawal"]["id"],
    ]
    many = [
        id_
        for one in crowd[:25]
        for id_ in (one["wallet"]["id"], one["id"], one["transaction"]["id"], one["withdrawal"]["id"])
    ]
    assert (
        await statements(api, query, {"ids": many}) <= await statements(api, query, {"ids": few}) + SPLITS_MAX
    )


async def test_a_customer_costs_as_much(api: Store, crowd: list[JsonObject]) -> None:
    query = f"query ($name: String!) {{ wallet(by: {{storeCustomerId: $name}}) {WALLET} }}"
    costs = {
        await statements(api, query, {"name": one["storeCustomerId"]}, Caller(one["storeCustomerId"]))
        for one in crowd[:3]
    }
    assert max(costs) - min(costs) <= SPLITS_MAX


async def test_what_is_not_asked_for_is_not_read(api: Store, crowd: list[JsonObject]) -> None:
    assert await statements(api, "{ wallets { nodes { balance { amount } customer { name } } } }", {}) == 1
    assert await statements(api, "{ wallets { totalCount nodes { balance { amount } } } }", {}) == 2
    assert await statements(api, "{ transactions { nodes { note amount { amount } } } }", {}) == 1


async def test_an_adjustment_costs_the_same_however_long_the_history_is(
    api: Store, crowd: list[JsonObject]
) -> None:
    async def cost(customer: JsonObject) -> int:
        costs = []
        for _ in range(3):
            with counted(by_all=True) as found:
                await api.adjust(customer, "1.00")
            costs.append(len(found.sent))
        return min(costs)

    customer = await api.funded("1.00")
    first = await cost(customer)
    for _ in range(30):
        await api.adjust(customer, "1.00")
    assert await cost(customer) == first


SAVER = """{
  id withdrawable { amount } withdrawal { amount { amount } leftOut { reason } limits { period left { amount } } }
  payoutMethods { id masked addedBy { id } }
  withdrawals(first: 5) { totalCount nodes { id status payoutMethod { id masked } steps { number actor { id } } transactions { id } } }
  topUps(first: 5) { totalCount nodes { id credited { amount } transaction { id allocations { bucket } } wallet { id } createdBy { id } } }
  topUpOptions { isPossible maximum { amount } }
  autoTopUps { id kind createdBy { id } }
}"""

SAVERS = {
    "wallets": f'query ($n: Int) {{ wallets(first: $n, search: "saver") {{ totalCount nodes {SAVER} }} }}',
    "withdrawals": (
        'query ($n: Int) { withdrawals(first: $n, search: "saver", sort: {field: AMOUNT}) { totalCount nodes { id reference '
        "payoutMethod { id masked kind } steps { number toStatus actor { kind id } note } transactions { id kind } "
        f"requestedBy {{ id }} wallet {SAVER} }} }} }}"
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def savers(api: Store) -> None:
    """Fifty customers with payout methods, approved withdrawals to them, top-ups, and rules of automatic ones."""
    await api.set_settings(
        withdrawals={"enabled": True, "methods": ["MANUAL", "BANK_IBAN"], "waitingDays": 1},
        payoutMethodWaitingHours=0,
        topUpsEnabled=True,
        topUpMethods=["card"],
    )

    async def save(number: int) -> None:
        customer = await api.funded("50.00", name=f"Saver {number:02}")
        wallet = {"storeCustomerId": customer["storeCustomerId"]}
        owner = Caller(customer["storeCustomerId"])
        for name in ("a", "b"):
            told = {"source": "shop", "externalId": f"{number}{name}", "paid": api.money("9.00")}
            await api.done("recordTopUp", {"wallet": wallet, **told, "idempotencyKey": f"{number}{name}"})
        method = await api.payout_method(customer)
        input_ = {"amount": api.money("5.00"), "payoutMethodId": method["id"], "idempotencyKey": fresh("key")}
        done = await api.done("requestWithdrawal", input_, owner)
        await api.steps_on(done["withdrawal"]["id"], "approveWithdrawal")
        rule = {"kind": "MONTHLY", "dayOfMonth": 1, "amount": api.money("5.00"), "paymentMethod": "card"}
        await api.done(
            "setAutoTopUp", {**rule, "paymentToken": "pm_1", "idempotencyKey": fresh("key")}, owner
        )

    await asyncio.gather(*(save(number) for number in range(MANY)))


@pytest.mark.parametrize("name", sorted(SAVERS))
async def test_fifty_with_payouts_and_top_ups_cost_as_many_as_one(
    api: Store, savers: None, name: str
) -> None:
    few = await statements(api, SAVERS[name], {"n": 2})
    many = await statements(api, SAVERS[name], {"n": MANY})
    assert many <= few + SPLITS_MAX
    nodes = (await api.execute(SAVERS[name], {"n": MANY})).data[name]["nodes"]
    wallets = nodes if name == "wallets" else [node["wallet"] for node in nodes]
    assert len(wallets) == MANY
    assert {
        (len(one["payoutMethods"]), len(one["topUps"]["nodes"]), len(one["autoTopUps"])) for one in wallets
    } == {(1, 2, 1)}


ORDERS = """query ($n: Int) { orders(first: $n, filter: {source: "sold"}) { totalCount nodes {
  id externalId status total { amount } paymentState refundState walletPaid { amount } refunded { amount }
  customer { name } wallet { id balance { amount } customer { name } }
  payments { id status captured { amount } returned { amount } createdBy { id } wallet { id } order { id } }
  refunds { id amount { amount } toWallet { amount } lines { lineId } order { id } wallet { id } }
  transactions(first: 5) { totalCount nodes { id kind amount { amount } allocations { bucket } } }
} } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sold(api: Store) -> None:
    """Fifty orders, each paid from two kinds of value and refunded twice."""

    async def sell(number: int) -> None:
        customer = await api.funded("30.00", name=f"Buyer {number:02}")
        await api.adjust(customer, "20.00", bucket="PROMO")
        told = api.order(customer, "40.00", source="sold")
        await api.record(told)
        await api.pay(customer, told)
        await api.record(told, status="PAID")
        await api.refund(told, "10.00")
        await api.refund(told, "5.00")

    await asyncio.gather(*(sell(number) for number in range(MANY)))


async def test_fifty_orders_with_payments_and_refunds_cost_as_many_as_one(api: Store, sold: None) -> None:
    few = await statements(api, ORDERS, {"n": 2})
    many = await statements(api, ORDERS, {"n": MANY})
    assert many <= few + SPLITS_MAX
    nodes = (await api.execute(ORDERS, {"n": MANY})).data["orders"]["nodes"]
    assert len(nodes) == MANY
    assert {(len(node["payments"]), len(node["refunds"]), node["refunded"]["amount"]) for node in nodes} == {
        (1, 2, "15.00")
    }
