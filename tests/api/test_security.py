"""Nobody reaches what is somebody else's: every path of the schema is tried with another customer's names."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, product
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    Lexer,
    OperationDefinitionNode,
    Source,
    TokenKind,
    get_named_type,
    is_input_object_type,
    parse,
    print_ast,
)

from app.domain.access import Principal, PrincipalKind
from app.execution.documents import core_schema
from app.jobs import work_off
from app.schema.schema import schema
from app.schema.types.node import decode_id, encode_id
from app.services.fraud import BalanceReads
from tests.api.mutations import NOBODY
from tests.api.store import (
    ADMINISTRATOR,
    ANONYMOUS,
    EXPIRED,
    FORGED,
    NOTE,
    PAYLOADS,
    Answer,
    Caller,
    JsonObject,
    Store,
    fresh,
    root_fields,
)

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

CORE = core_schema(schema)
DEPTH_MAX = 5
TOKENS_MAX = 1_700
"""Tokens of what one operation selects: some fewer than a query may have."""


async def keep_signal(api: Store, customer: JsonObject) -> None:
    """Have a signal of fraud about a customer kept, as if they had looked at their balance far too often."""
    reads = BalanceReads(lambda: datetime.now(UTC), most=1)
    owner = Principal(PrincipalKind.CUSTOMER, customer["storeCustomerId"])
    for _ in range(2):
        reads.note(owner, decode_id(customer["wallet"]["id"], "Wallet"))
    assert await reads.keep(api.app.state.runtime.writer) == 1


async def order_of(api: Store, customer: JsonObject) -> JsonObject:
    """An order of the customer's that was paid and refunded, and a renewal to come; how they are called."""
    line = {"lineId": "1", "name": "Secretive lamp", "total": "19.91"}
    told = api.order(
        customer,
        "19.91",
        source="secretive-shop",
        externalId="secretive-1",
        number="Secretive 1",
        lines=[line],
    )
    promotion = await api.promotion(name="Secretive campaign", minimumSpend=api.money("19.92"))
    code = await api.coupon(promotion, code=fresh("secretive"))
    payment = await api.pay(customer, told)
    order = await api.record(told, status="PAID", coupons=[{"code": code}])
    refund = await api.refund(told, note="Secretive lamp of order 1 arrived broken")
    announced = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "secretive-shop",
        "subscription": "secretive-2",
        "amount": api.money("19.91"),
        "dueAt": "2031-05-01T00:00:00Z",
        "description": "Secretive lamp of the month",
    }
    renewal = (await api.done("announceRenewal", announced))["renewal"]
    return {
        "Order": order["id"],
        "Payment": payment["id"],
        "Refund": refund["id"],
        "Renewal": renewal["id"],
        "Promotion": promotion["id"],
        "CouponRedemption": order["couponRedemptions"][0]["id"],
        "code": code,
        "paymentReference": payment["reference"],
        "refundReference": refund["reference"],
        "source": told["source"],
        "externalId": told["externalId"],
        "subscription": "secretive-2",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(api: Store) -> JsonObject:
    """A customer with one of everything, all of it with names that are easily found in an answer."""
    customer = await api.funded("7531.24", name="Victoria Secretive", email="victoria.secretive@shop.example")
    promo = await api.adjust(customer, "131.07", bucket="PROMO", note="Secretive parcel of order 7 broke")
    await api.adjust(
        customer, "-2.03", corrects=promo["transaction"]["id"], note="Secretive order 7 put right"
    )
    withdrawal = await api.withdrawal(customer, "113.57")
    paid = await api.withdrawal(customer, "17.53")
    await api.done("markWithdrawalPaid", {"withdrawalId": paid["id"], "idempotencyKey": fresh("key")})
    bought = await order_of(api, customer)
    for mutation in ("freezeWallet", "unfreezeWallet"):
        why = {"wallet": {"id": customer["wallet"]["id"]}, "note": "Secretive sign-ins from three countries"}
        await api.done(mutation, why)
    top_up = {
        "wallet": {"id": customer["wallet"]["id"]},
        "source": "shop",
        "externalId": fresh("secretive"),
        # Nothing was kept of it, so that all amounts stay as they are.
        "paid": api.money("0.00"),
        "idempotencyKey": fresh("key"),
    }
    event = {"storeCustomerId": customer["storeCustomerId"], "event": "review", "eventId": fresh("secretive")}
    await keep_signal(api, customer)
    card = await api.gift_card(label="Secretive present", note="Secretive birthday present")
    delivery = await api.delivery(b'{"billing": {"last_name": "Secretive"}}', error="Secretive refusal.")
    endpoint = await api.webhook_endpoint(enabled=False, description="Secretive shop")
    tried = {"webhookEndpointId": endpoint["id"], "idempotencyKey": fresh("key")}
    sent = (await api.done("sendTestWebhook", tried))["outgoingWebhook"]
    asked = await asked_to_charge(api, customer)
    query = "query ($n: String!) { wallet(by: {storeCustomerId: $n}) { transactions(first: 2) { edges { cursor } } } }"
    answer = await api.execute(query, {"n": customer["storeCustomerId"]})
    return {
        "storeCustomerId": customer["storeCustomerId"],
        "Customer": customer["id"],
        "Wallet": customer["wallet"]["id"],
        "Transaction": customer["transaction"]["id"],
        "Withdrawal": withdrawal["id"],
        "Paid": paid["id"],
        "WebhookDelivery": delivery,
        "GiftCard": card["id"],
        "giftCardReference": card["reference"],
        "TopUp": (await api.done("recordTopUp", top_up))["topUp"]["id"],
        "StoreEvent": (await api.done("recordEvent", event))["event"]["id"],
        "WebhookEndpoint": endpoint["id"],
        "OutgoingWebhook": sent["id"],
        "reference": customer["transaction"]["reference"],
        "withdrawalReference": withdrawal["reference"],
        "PayoutMethod": (await api.payout_method(customer, label="Secretive bank"))["id"],
        **asked,
        **bought,
        "cursor": answer.data["wallet"]["transactions"]["edges"][0]["cursor"],
    }


async def asked_to_charge(api: Store, customer: JsonObject) -> JsonObject:
    """A top-up that the customer started, their automatic one, and what the store was asked to charge for it."""
    await api.set_settings(topUpsEnabled=True, topUpMethods=["card"], topUpMinimum=api.money("1.00"))
    wallet = {"id": customer["wallet"]["id"]}
    start = {"wallet": wallet, "amount": api.money("23.29"), "idempotencyKey": fresh("key")}
    rule = {
        "wallet": wallet,
        "kind": "THRESHOLD",
        "threshold": api.money("8000.00"),
        "amount": api.money("29.31"),
        "paymentMethod": "card",
        "paymentToken": "Secretive token",
        "idempotencyKey": fresh("key"),
    }
    intent = (await api.done("startTopUp", start))["topUpIntent"]["id"]
    rule_id = (await api.done("setAutoTopUp", rule))["autoTopUp"]["id"]
    await work_off(api.app.state.runtime, "auto-top-ups")
    query = "{ autoTopUpCharges(last: 100) { nodes { id wallet { id } } } }"
    nodes = (await api.execute(query, {}, ADMINISTRATOR)).data["autoTopUpCharges"]["nodes"]
    (charge,) = (node["id"] for node in nodes if node["wallet"] == wallet)
    return {"TopUpIntent": intent, "AutoTopUp": rule_id, "AutoTopUpCharge": charge}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def thief(api: Store) -> Caller:
    """Another customer, who has a wallet too."""
    return Caller((await api.funded("500.00", name="Theo Thief"))["storeCustomerId"])


def assert_nothing_of(victim: JsonObject, answer: Answer, sent: object) -> None:
    """No id, name, amount or note of the victim's is in the answer; what was sent does not count."""
    told = answer.body.get("data")
    text = str(told)
    # No amount is one that a time could have, such as the 13.57 of 20:11:13.57.
    for secret in (*victim.values(), "ictoria", "ecretive", "7531.24", "131.07", "113.57", "7642.75"):
        assert secret not in text, (secret, sent, told)
    # What is repeated in a message can only be what was sent.
    for error in answer.errors:
        for secret in ("ictoria", "ecretive", "7531.24", "113.57"):
            assert secret not in str(error), (secret, sent, error)


# --- everything below an object -----------------------------------------------------------------------------


def selection(type_: Any, depth: int = DEPTH_MAX, above: tuple[str, ...] = ()) -> str:
    """All fields of a type, and of what hangs below it, without walking in circles."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLScalarType | GraphQLEnumType):
        return ""
    assert isinstance(named, GraphQLObjectType)
    if depth == 0 or above.count(named.name) > 0:
        return "{ __typename }"
    fields = " ".join(
        f"{name} {selection(field.type, depth - 1, (*above, named.name))}"
        for name, field in named.fields.items()
    )
    return f"{{ __typename {fields} }}"


def values(type_: Any, victim: JsonObject, name: str) -> Iterator[Any]:
    """Every value of an argument that could lead to the victim."""
    if isinstance(type_, GraphQLNonNull):
        yield from values(type_.of_type, victim, name)
        return
    if isinstance(type_, GraphQLList):
        yield from ([value] for value in values(type_.of_type, victim, name))
        return
    if is_input_object_type(type_):
        yield from inputs(type_, victim)
        return
    if isinstance(type_, GraphQLEnumType):
        yield next(iter(type_.values))
    elif type_.name == "ID":
        yield from (victim[kind] for kind in IDS)
    elif type_.name == "String":
        yield from _texts(name, victim)
    else:
        yield from OTHERS[type_.name]


OTHERS: dict[str, tuple[Any, ...]] = {
    "Int": (0, 1, 100),
    "BigInt": (0, 1, 100),
    "Boolean": (True,),
    "Decimal": ("1.00",),
    "CurrencyCode": ("USD",),
    "Date": ("1990-02-28", "9999-01-01"),
    "DateTime": ("2001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"),
}
IDS = (
    *("Wallet", "Customer", "Transaction", "Withdrawal", "Paid", "Order", "Payment", "Refund", "Renewal"),
    *("GiftCard", "TopUp", "StoreEvent", "Promotion", "CouponRedemption"),
)
_keys = count(1)


def _texts(name: str, victim: JsonObject) -> Iterator[str]:
    if name == "idempotencyKey":
        yield f"crawl-{next(_keys)}"
    elif name == "note":
        yield NOTE
    elif name in {"after", "before"}:
        yield victim["cursor"]
    elif name == "reference":
        yield from (
            victim["reference"],
            victim["withdrawalReference"],
            victim["paymentReference"],
            victim["giftCardReference"],
        )
    elif name in {"source", "externalId", "subscription"}:
        yield victim[name]
    else:
        yield from (victim["storeCustomerId"], "secretive", victim["reference"])


def inputs(type_: GraphQLInputObjectType, victim: JsonObject) -> Iterator[JsonObject]:
    """Each field in turn with all its values, the others with the first that they have."""
    if type_.is_one_of:
        for name, field in type_.fields.items():
            for value in values(field.type, victim, name):
                yield {name: value}
        return
    first = {
        name: next(values(field.type, victim, name))
        for name, field in type_.fields.items()
        if isinstance(field.type, GraphQLNonNull)
    }
    yield first
    for name, field in type_.fields.items():
        for value in values(field.type, victim, name):
            key = {"idempotencyKey": f"crawl-{next(_keys)}"} if "idempotencyKey" in first else {}
            yield {**first, **key, name: value}


def variables_of(field: Any, victim: JsonObject) -> Iterator[JsonObject]:
    """Each argument in turn with all its values, the others with the first that they have."""
    needed = {
        name: next(values(argument.type, victim, name))
        for name, argument in field.args.items()
        if isinstance(argument.type, GraphQLNonNull)
    }
    yield needed
    for name, argument in field.args.items():
        for value in values(argument.type, victim, name):
            yield {**needed, name: value}


def operations(root: str, name: str) -> list[str]:
    """Operations with every argument and everything that the field can tell; for an interface, one for each type."""
    field = root_fields(root)[name]
    declared = ", ".join(f"${argument}: {a.type}" for argument, a in field.args.items())
    given = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    named = get_named_type(field.type)
    if root == "Mutation":
        told = [f"{{ {PAYLOADS[name]} }}"]
    elif isinstance(named, GraphQLInterfaceType):
        kinds = CORE.get_possible_types(named)
        told = [
            f"{{ __typename id ... on {kind.name} {part} }}"
            for kind in kinds
            for part in parts(selection(kind, 4))
        ]
    else:
        told = [selection(field.type, 4)]
    head = f"{root.lower()} {f'({declared})' if declared else ''} {{ {name}{f'({given})' if given else ''}"
    return [f"{head} {part} }}" for one in told for part in parts(one)]


def parts(selected: str) -> list[str]:
    """A selection in as many parts as it takes to keep each below the limit of tokens."""
    if tokens(selected) < TOKENS_MAX:
        return [selected]
    document = parse(selected)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    found, part, size = [], "", 0
    for field in operation.selection_set.selections:
        text = print_ast(field)
        if part and size + tokens(text) >= TOKENS_MAX:
            found.append(f"{{ {part} }}")
            part, size = "", 0
        part, size = f"{part} {text}", size + tokens(text)
    return [*found, f"{{ {part} }}"]


def tokens(text: str) -> int:
    """How many tokens a text has."""
    lexer, count = Lexer(Source(text)), 0
    while lexer.advance().kind is not TokenKind.EOF:
        count += 1
    return count


PUBLIC = {
    "viewer": ("wallet", "customer", "capabilities"),
    "cashbackOffers": ("nodes", "edges"),
    "previewCashback": ("earnings", "outcomes"),
    "checkCoupon": (),
    "topUpOptions": (),
}
"""What anybody may ask, and what of it is empty for somebody who is not known (there are no rules here)."""
ROOTS = [(root, name) for root in ("Query", "Mutation") for name in root_fields(root)]


@pytest.mark.parametrize(("root", "name"), ROOTS)
async def test_another_customers_things_are_out_of_reach(
    api: Store, victim: JsonObject, thief: Caller, root: str, name: str
) -> None:
    before = await api.wallet(victim)
    tried = 0
    for query, variables in product(operations(root, name), variables_of(root_fields(root)[name], victim)):
        answer = await api.execute(query, variables, thief)
        assert not {"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"} & set(answer.codes), answer.body
        assert_nothing_of(victim, answer, variables)
        tried += 1
    assert tried >= len(root_fields(root)[name].args)
    assert await api.wallet(victim) == before


STRANGE = "nobody-"
"""How names begin that nobody has."""
TOLD_OF_OTHERS = {"authorizePayment", "payOrder"}
"""What pays for an order by the number that a shop gave it, before the shop has told of it: who was first is found out."""


def renamed(given: Any, names: dict[str, str]) -> Any:
    """The same, with what is called so called otherwise."""
    if isinstance(given, dict):
        return {name: renamed(value, names) for name, value in given.items()}
    if isinstance(given, list):
        return [renamed(value, names) for value in given]
    return names.get(given, given) if isinstance(given, str) else given


def strange_names(victim: JsonObject) -> dict[str, str]:
    """For each name of the victim's one of the same kind that nobody has."""
    kinds = {victim[kind]: encode_id(kind if kind != "Paid" else "Withdrawal", NOBODY) for kind in IDS}
    texts = ("storeCustomerId", "externalId", "subscription", "code", "source")
    references = ("reference", "withdrawalReference", "paymentReference", "giftCardReference")
    # A reference has a check character; one of another kind is as well written, and nobody's.
    return (
        kinds
        | {victim[name]: STRANGE + victim[name] for name in texts}
        | {victim[name]: victim[name][::-1] for name in references}
    )


def renamed_text(told: Any, names: dict[str, str]) -> str:
    """What is told, whichever of the names it repeats."""
    text = json.dumps(told)
    for own, strange in names.items():
        text = text.replace(strange, "…").replace(own, "…")
    return text


@pytest.mark.parametrize(("root", "name"), [one for one in ROOTS if one[1] not in TOLD_OF_OTHERS])
async def test_not_there_and_not_yours_are_answered_alike(
    api: Store, victim: JsonObject, thief: Caller, root: str, name: str
) -> None:
    names = strange_names(victim)
    query = operations(root, name)[0]
    for variables in variables_of(root_fields(root)[name], victim):
        found = []
        for asked in (variables, renamed(variables, names)):
            answer = await api.execute(query, asked, thief)
            payload = (answer.body.get("data") or {}).get(name)
            refused = payload.get("userErrors") if root == "Mutation" and payload else payload
            found.append(renamed_text([refused, answer.body.get("errors")], names))
        assert found[0] == found[1], variables


@pytest.mark.parametrize(("root", "name"), ROOTS)
async def test_nobody_and_the_expired_get_nothing(
    api: Store, victim: JsonObject, root: str, name: str
) -> None:
    variables = next(variables_of(root_fields(root)[name], victim))
    before = await api.digest()
    for caller in (ANONYMOUS, EXPIRED, FORGED):
        answer = await api.execute(operations(root, name)[0], variables, caller)
        if name in PUBLIC and caller is ANONYMOUS:
            assert answer.data[name] is None or not any(
                answer.data[name].get(private) for private in PUBLIC[name]
            )
        else:
            assert answer.codes == ["UNAUTHENTICATED"]
            assert not any((answer.body.get("data") or {}).values())
        assert_nothing_of(victim, answer, variables)
    assert await api.digest() == before


@pytest.mark.slow
async def test_the_crawl_finds_what_is_there(api: Store, victim: JsonObject) -> None:
    """The same walk, by somebody who may, meets the victim in every query: so it would notice a leak."""
    for name in root_fields("Query"):
        # What cashback tells is of rules and sums; tests/api/test_cashback.py is about who learns of it.
        plain = {"viewer", "settings", "verifyLedger", "roles", "apiKeys", "checkGiftCard", "checkCoupon"}
        plain |= {"webhookEventTypes", "previewEmail", "topUpOptions", "payoutReconciliation"}
        if name in plain or "ashback" in name:
            continue
        met = False
        for query, variables in product(
            operations("Query", name), variables_of(root_fields("Query")[name], victim)
        ):
            answer = await api.execute(query, variables, ADMINISTRATOR)
            met = met or "ecretive" in str(answer.body.get("data"))
        assert met, name


async def test_from_one_s_own_wallet_no_path_leads_away(
    api: Store, victim: JsonObject, thief: Caller
) -> None:
    """Whatever the arguments of the lists below it, a wallet leads to its own things only."""
    wallet = CORE.type_map["Wallet"]
    assert isinstance(wallet, GraphQLObjectType)
    for name in ("transactions", "withdrawals", "auditEntries", "orders", "payments", "upcomingRenewals"):
        field = wallet.fields[name]
        declared = ", ".join(f"${argument}: {a.type}" for argument, a in field.args.items())
        given = ", ".join(f"{argument}: ${argument}" for argument in field.args)
        query = (
            f"query ({declared}) {{ viewer {{ wallet {{ {name}({given}) {selection(field.type, 4)} }} }} }}"
        )
        for variables in variables_of(field, victim):
            answer = await api.execute(query, variables, thief)
            assert "GRAPHQL_VALIDATION_FAILED" not in answer.codes, answer.body
            assert_nothing_of(victim, answer, variables)


SUBSCRIPTIONS = (
    ("wallet: {id: $id}", "Wallet"),
    ("wallet: {customerId: $id}", "Customer"),
    ("wallet: {id: $id}, afterSequence: 0", "Wallet"),
    ("wallet: {id: $id}", "Transaction"),
)


@pytest.mark.parametrize(("arguments", "kind"), SUBSCRIPTIONS)
async def test_another_customers_wallet_can_t_be_watched(
    api: Store, victim: JsonObject, thief: Caller, arguments: str, kind: str
) -> None:
    query = (
        f"subscription ($id: ID!) {{ walletUpdated({arguments}) {{ balance {{ amount }} wallet {{ id }} }} }}"
    )
    texts = []
    for id_ in (victim[kind], encode_id(kind, NOBODY)):
        response = await api.client.post(
            "/graphql",
            json={"query": query, "variables": {"id": id_}},
            headers={**thief.headers, "accept": "text/event-stream"},
        )
        assert "7642.75" not in response.text
        assert '"BAD_USER_INPUT"' in response.text
        texts.append(response.text)
    assert texts[0] == texts[1], "not there and not yours are told alike"


async def test_the_store_s_stream_is_for_staff(api: Store, thief: Caller) -> None:
    query = 'subscription { transactionPosted(filter: {search: "secretive"}) { note } }'
    for caller, code in ((thief, "FORBIDDEN"), (ANONYMOUS, "UNAUTHENTICATED")):
        response = await api.client.post(
            "/graphql", json={"query": query}, headers={**caller.headers, "accept": "text/event-stream"}
        )
        assert f'"{code}"' in response.text


async def test_roles_that_nobody_knows_grant_nothing(api: Store, victim: JsonObject) -> None:
    for roles in (("root",), ("ADMINISTRATOR",), ("customer",), ("", "*")):
        caller = Caller(fresh("pretender"), roles)
        assert (await api.execute("{ wallets { totalCount } }", None, caller)).codes == ["FORBIDDEN"]


async def test_a_key_of_somebody_else_tells_nothing(api: Store, victim: JsonObject, thief: Caller) -> None:
    """The same key, used by another caller, neither answers with the other's result nor says that it is taken."""
    key = fresh("key")
    owner = Caller(victim["storeCustomerId"])
    document = (
        "mutation ($input: RequestWithdrawalInput!) { requestWithdrawal(input: $input) "
        "{ replayed wallet { id } withdrawal { id } userErrors { code } } }"
    )
    input_ = {"amount": api.money("1.00"), "idempotencyKey": key}
    theirs = (await api.execute(document, {"input": input_}, owner)).data["requestWithdrawal"]
    mine = (await api.execute(document, {"input": input_}, thief)).data["requestWithdrawal"]
    assert (theirs["userErrors"], mine["userErrors"], mine["replayed"]) == ([], [], False)
    assert mine["wallet"]["id"] != theirs["wallet"]["id"] == victim["Wallet"]
