"""Input that can't be meant: a clear refusal in the right place, never a defect, never a moved cent."""

import json
from typing import Any

import pytest
import pytest_asyncio
from graphql import get_named_type, is_input_object_type, is_required_input_field

from tests.api.mutations import MUTATIONS, ago
from tests.api.store import (
    ADMINISTRATOR,
    NOTE,
    Answer,
    JsonObject,
    Store,
    document,
    fresh,
    is_list,
    root_fields,
)

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

JSON = "application/json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def customer(api: Store) -> JsonObject:
    """Somebody with money that must not move."""
    return await api.funded("100.00")


def adjustment(api: Store, customer: JsonObject, **more: Any) -> JsonObject:
    """A good adjustment, but for what is said otherwise."""
    return {
        "wallet": {"id": customer["wallet"]["id"]},
        "direction": "CREDIT",
        "amount": api.money("5.00"),
        "reason": "GOODWILL",
        "note": NOTE,
        "idempotencyKey": fresh("key"),
        **more,
    }


async def refused(api: Store, query: str, variables: Any, code: str = "BAD_USER_INPUT") -> Answer:
    """Send what must be refused before anything runs."""
    before = await api.digest()
    answer = await api.execute(query, variables)
    assert set(answer.codes) == {code}, answer.body
    assert not any((answer.body.get("data") or {}).values())
    assert await api.digest() == before
    return answer


# --- decimals and currencies --------------------------------------------------------------------------------

NO_DECIMALS: tuple[Any, ...] = (
    "1e3", "1E3", "1_000", "1,000.00", "1,50", "+5", " 5", "5 ", "", ".", ".5", "5.", "05", "00.1", "0x10", "NaN",
    "nan", "Infinity", "-Infinity", "\u0665", "\uff15", "5.00\n", "--5", "5-", "1.2.3", "$5", "5 USD", "9" * 50, "1" * 100_000,
    "\u0000", "5\u0000", 5.0, 0.1, 1e3, True, False, [], ["5"], {}, {"amount": "5"},
)  # fmt: skip


@pytest.mark.parametrize("amount", NO_DECIMALS, ids=lambda amount: repr(amount)[:16])
async def test_no_decimals(api: Store, customer: JsonObject, amount: Any) -> None:
    input_ = adjustment(api, customer, amount={"amount": amount, "currency": "USD"})
    answer = await refused(api, document("adjustBalance"), {"input": input_})
    assert ".amount" in answer.errors[0]["message"]
    assert len(answer.errors[0]["message"]) < 600
    query = "query ($filter: WalletFilter) { wallets(filter: $filter) { totalCount } }"
    if amount != ["5"]:
        await refused(api, query, {"filter": {"balance": {"min": amount}}})


@pytest.mark.parametrize(
    "literal", ["5.0", "1e3", "true", "NaN", "$5", "[5]", '"1e3"', '"""5 """', "{amount: 5}"]
)
async def test_no_decimals_in_the_document(api: Store, literal: str) -> None:
    query = f"{{ wallets(filter: {{balance: {{min: {literal}}}}}) {{ totalCount }} }}"
    answer = await api.execute(query)
    assert answer.codes
    assert set(answer.codes) <= {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"}
    assert all(error["locations"] for error in answer.errors), "where it stands in the document"


async def test_whole_numbers_are_exact(api: Store) -> None:
    customer = await api.customer()
    input_ = adjustment(api, customer, amount={"amount": 7, "currency": "USD"})
    assert (await api.done("adjustBalance", input_))["wallet"]["balance"]["amount"] == "7.00"


CURRENCIES: tuple[Any, ...] = (
    "usd",
    "US",
    "USDX",
    "XXX",
    "",
    " USD",
    "USD\u0000",
    "ABC",
    "€",
    840,
    None,
    True,
    ["USD"],
    "X" * 9999,
)


@pytest.mark.parametrize("currency", CURRENCIES, ids=lambda currency: repr(currency)[:16])
async def test_unknown_currencies(api: Store, customer: JsonObject, currency: Any) -> None:
    input_ = adjustment(api, customer, amount={"amount": "5.00", "currency": currency})
    answer = await refused(api, document("adjustBalance"), {"input": input_})
    assert "currency" in answer.errors[0]["message"]
    assert len(answer.errors[0]["message"]) < 600


# --- times --------------------------------------------------------------------------------------------------

NO_TIMES: tuple[Any, ...] = (
    "2030-01-01", "2030-01-01T00:00:00", "tomorrow", "", "2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z", "2030-01-01T25:00:00Z",
    "99999-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "2030-01-01T00:00:00+99:00", 1893456000, 1893456000.5, True, {}, ["2030-01-01T00:00:00Z"], "\u0000", "2" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("time", NO_TIMES, ids=lambda time: repr(time)[:16])
async def test_no_times(api: Store, customer: JsonObject, time: Any) -> None:
    answer = await refused(
        api, document("adjustBalance"), {"input": adjustment(api, customer, expiresAt=time)}
    )
    assert "expiresAt" in answer.errors[0]["message"]


@pytest.mark.parametrize(
    "time",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999Z",
        "2100-02-28T12:00:00+14:00",
        "2030-01-01T00:00:00.5-05:00",
    ],
)
async def test_times_far_away(api: Store, time: str) -> None:
    customer = await api.customer()
    payload = await api.adjust(customer, "5.00", expiresAt=time)
    wallet = await api.wallet(customer)
    assert payload["transaction"]["allocations"][0]["expiresAt"] == wallet["buckets"][0]["nextExpiryAt"]
    await api.adjust(customer, "-1.00")
    withdrawal = await api.withdrawal(customer, "4.00")
    await api.done("cancelWithdrawal", {"withdrawalId": withdrawal["id"], "idempotencyKey": fresh("key")})


async def test_a_moment_ago_is_past(api: Store, customer: JsonObject) -> None:
    before = await api.digest()
    payload = await api.mutate("adjustBalance", adjustment(api, customer, expiresAt=ago(microseconds=1)))
    assert [error["code"] for error in payload["userErrors"]] == ["EXPIRY_IN_PAST"]
    assert await api.digest() == before


# --- texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
async def test_ten_megabytes(api: Store, mutation: Any) -> None:
    """Refused by its size, before anybody reads it."""
    scene = await mutation.prepare(api)
    before = await api.digest()
    response = await api.client.post(
        "/graphql",
        json={
            "query": document(mutation.name),
            "variables": {"input": {**scene.input, "note": "x" * 10_000_000}},
        },
        headers=ADMINISTRATOR.headers,
    )
    assert response.status_code == 413
    assert api.checked(response).code == "BODY_TOO_LARGE"
    assert await api.digest() == before


TEXTS = {
    "nearly a megabyte": "x" * 900_000,
    "NUL": "\u0000",
    "bell": "a\u0007b",
    "escape": "\u001b[31mred",
    "DEL": "\u007f",
    "C1": "\u0085",
    "hides": "\u202e",
}


def text_fields(mutation: str) -> list[str]:
    """The fields of a mutation's input that are plain texts."""
    type_ = root_fields("Mutation")[mutation].args["input"].type.of_type
    return [name for name, field in type_.fields.items() if str(field.type).rstrip("!") == "String"]


SHORTENED = {"recordOrder": ("storeStatus", "number", "paymentMethod", "guestEmail", "topUp")}
"""What a store shows to people, or calls a top-up, is cut: an order is not refused for it."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
@pytest.mark.parametrize("text", sorted(TEXTS))
async def test_texts_that_can_t_be_kept(api: Store, mutation: Any, text: str) -> None:
    scene = await mutation.prepare(api)
    before = await api.digest()
    for name in text_fields(mutation.name):
        if text == "nearly a megabyte" and name in SHORTENED.get(mutation.name, ()):
            continue
        payload = await api.mutate(mutation.name, {**scene.input, name: f"Order 1042 {TEXTS[text]} broken"})
        (error,) = payload["userErrors"]
        assert error["field"] == [name]
        assert error["code"] in {"FIELD_INVALID", "NOTE_TOO_LONG", "TEXT_NOT_ALLOWED"}
    assert await api.digest() == before


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff", "\\ud83d x", "\\udc00\\ud800"])
async def test_half_a_surrogate_pair(api: Store, customer: JsonObject, escape: str) -> None:
    before = await api.digest()
    body = json.dumps({"query": document("adjustBalance"), "variables": {"input": adjustment(api, customer)}})
    response = await api.client.post(
        "/graphql",
        content=body.replace("Parcel", escape),
        headers={**ADMINISTRATOR.headers, "content-type": JSON},
    )
    assert response.status_code == 400
    assert api.checked(response).code == "BAD_USER_INPUT"
    query = f'{{ wallets(search: "{escape}") {{ totalCount }} }}'
    answer = await api.execute(query)
    assert answer.codes
    assert set(answer.codes) <= {"BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED"}
    assert await api.digest() == before


GROWING = {"name": "ß" * 200, "email": "ß" * 200 + "@shop.example"}


async def test_texts_that_grow_when_they_are_folded(api: Store) -> None:
    """They fit their columns, and what is kept for searches does too."""
    customer = await api.customer(**GROWING)
    assert (customer["name"], customer["email"]) == (GROWING["name"], GROWING["email"])
    payload = await api.mutate("registerCustomer", {"storeCustomerId": fresh(), "name": "\ufb2c" * 200})
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [
        ("FIELD_INVALID", ["name"])
    ]


async def test_notes_that_grow_when_they_are_normalised(api: Store, customer: JsonObject) -> None:
    before = await api.digest()
    payload = await api.mutate("adjustBalance", adjustment(api, customer, note="\ufb2c" * 1000))
    assert [error["code"] for error in payload["userErrors"]] == ["NOTE_TOO_LONG"]
    assert await api.digest() == before


async def test_the_longest_texts_are_kept(api: Store) -> None:
    name = "é" * 128
    await api.customer()
    await api.done(
        "registerCustomer",
        {"storeCustomerId": name, "name": "山" * 200, "email": "e" * 241 + "@shop.example"},
    )
    payload = await api.adjust(name, "5.00", note="Bestellung 1042 " + "😀" * 984, idempotencyKey="🔑" * 255)
    assert len(payload["transaction"]["note"]) == 1000
    again = await api.adjust(name, "5.00", note="Bestellung 1042 " + "😀" * 984, idempotencyKey="🔑" * 255)
    assert again["replayed"] is True


# --- shapes -------------------------------------------------------------------------------------------------


def _may_be_empty(type_: Any, value: Any) -> bool:
    if value == []:
        return is_list(type_)
    named = get_named_type(type_)
    optional = is_input_object_type(named) and not any(map(is_required_input_field, named.fields.values()))
    return value == {} and optional and not is_list(type_)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
async def test_inputs_of_the_wrong_shape(api: Store, mutation: Any) -> None:
    scene = await mutation.prepare(api)
    query = document(mutation.name)
    type_ = root_fields("Mutation")[mutation.name].args["input"].type.of_type
    values: tuple[Any, ...] = (1.5, [], {}, [{}])
    wrong: list[Any] = [None, "text", 5, True, [], [scene.input] * 2, {}]
    wrong += [{**scene.input, "__proto__": 1}, {**scene.input, "isAdmin": True}, {**scene.input, "Note": "x"}]
    for name, field in type_.fields.items():
        # An empty list is one, so is an object of which nothing is required, and what has a default may be left out.
        wrong += [{**scene.input, name: value} for value in values if not _may_be_empty(field.type, value)]
        if str(field.type).endswith("!"):
            wrong += [{**scene.input, name: None}]
        if is_required_input_field(field):
            wrong += [{key: value for key, value in scene.input.items() if key != name}]
    before = await api.digest()
    for input_ in wrong:
        answer = await api.execute(query, {"input": input_})
        assert set(answer.codes) == {"BAD_USER_INPUT"}, (input_, answer.body)
        assert not any((answer.body.get("data") or {}).values())
    for variables in ({}, {"inputs": scene.input}, None):
        assert set((await api.execute(query, variables)).codes) == {"BAD_USER_INPUT"}
    assert await api.digest() == before


SELECTORS = (
    ("wallet", "WalletSelector", ("id", "customerId", "storeCustomerId")),
    ("customer", "CustomerSelector", ("id", "storeCustomerId")),
    ("transaction", "TransactionSelector", ("id", "reference")),
)


@pytest.mark.parametrize(("root", "type_", "names"), SELECTORS)
async def test_exactly_one_name(
    api: Store, customer: JsonObject, root: str, type_: str, names: tuple[str, ...]
) -> None:
    query = f"query ($by: {type_}!) {{ {root}(by: $by) {{ id }} }}"
    both = {names[0]: customer["wallet"]["id"], names[1]: customer["storeCustomerId"]}
    wrong: tuple[Any, ...] = (
        {},
        both,
        {names[0]: None},
        {**both, names[0]: None},
        {"name": "x"},
        dict.fromkeys(names, "x"),
        None,
        [],
    )
    for by in wrong:
        await refused(api, query, {"by": by})
    for literal in ("{}", f'{{{names[0]}: "a", {names[1]}: "b"}}', f"{{{names[0]}: null}}", "null"):
        answer = await api.execute(f"{{ {root}(by: {literal}) {{ id }} }}")
        assert set(answer.codes) <= {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}
        assert answer.codes


async def test_exactly_one_name_in_mutations(api: Store, customer: JsonObject) -> None:
    both = {"id": customer["wallet"]["id"], "storeCustomerId": customer["storeCustomerId"]}
    for name in ("adjustBalance", "freezeWallet", "unfreezeWallet", "requestWithdrawal"):
        good = next(one for one in MUTATIONS if one.name == name)
        scene = await good.prepare(api)
        for wallet in ({}, both, {"id": None}):
            await refused(api, document(name), {"input": {**scene.input, "wallet": wallet}})


ENUMS: tuple[Any, ...] = ("credit", "SIDEWAYS", "", 0, None, True, ["CREDIT", "DEBIT"])


@pytest.mark.parametrize("value", ENUMS)
async def test_unknown_values_of_enumerations(api: Store, customer: JsonObject, value: Any) -> None:
    for name in ("direction", "reason"):
        await refused(api, document("adjustBalance"), {"input": adjustment(api, customer, **{name: value})})


SEQUENCES: tuple[Any, ...] = (2**53, -(2**53), 1.5, "1e3", "", "\uff11", True, "9" * 30, 10**400)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: repr(sequence)[:16])
async def test_sequence_numbers_that_are_none(api: Store, customer: JsonObject, sequence: Any) -> None:
    query = "subscription ($id: ID!, $after: BigInt) { walletUpdated(wallet: {id: $id}, afterSequence: $after) { sequence } }"
    body = json.dumps({"query": query, "variables": {"id": customer["wallet"]["id"], "after": sequence}})
    response = await api.client.post(
        "/graphql",
        content=body,
        headers={**ADMINISTRATOR.headers, "content-type": JSON, "accept": "text/event-stream"},
    )
    assert '"BAD_USER_INPUT"' in response.text
    assert "INTERNAL" not in response.text


# --- documents ----------------------------------------------------------------------------------------------

DEEP = "{ viewer { wallet { customer " + "{ wallet { customer " * 10 + "{ id }" + " } }" * 10 + " } } }"
DOCUMENTS = {
    "deep": (DEEP, "GRAPHQL_VALIDATION_FAILED"),
    "very deep": ("{ a" * 5000 + "}" * 5000, "GRAPHQL_PARSE_FAILED"),
    "many fields": ("{ viewer { " + "kind " * 10_000 + "} }", "GRAPHQL_PARSE_FAILED"),
    "many aliases": (
        "{ " + " ".join(f"a{n}: viewer {{ kind }}" for n in range(40)) + " }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "circle": ("{ ...A } fragment A on Query { ...A }", "GRAPHQL_VALIDATION_FAILED"),
    "unknown field": ("{ password }", "GRAPHQL_VALIDATION_FAILED"),
    "unknown argument": ('{ wallets(where: "1=1") { totalCount } }', "GRAPHQL_VALIDATION_FAILED"),
    "nothing": ("", "GRAPHQL_PARSE_FAILED"),
    "not GraphQL": ("SELECT * FROM wallets", "GRAPHQL_PARSE_FAILED"),
    "NUL": ("{ viewer { kind } }\u0000", "GRAPHQL_PARSE_FAILED"),
    "variables of a wrong type": (
        "query ($n: Int) { wallets(search: $n) { totalCount } }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
}


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
async def test_documents(api: Store, name: str) -> None:
    text, code = DOCUMENTS[name]
    answer = await api.execute(text)
    assert answer.codes
    assert set(answer.codes) <= {code, "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"}
    assert "data" not in answer.body


async def test_a_mutation_is_no_query(api: Store, customer: JsonObject) -> None:
    before = await api.digest()
    input_ = json.dumps({"input": adjustment(api, customer)})
    response = await api.client.get(
        "/graphql",
        params={"query": document("adjustBalance"), "variables": input_},
        headers=ADMINISTRATOR.headers,
    )
    assert response.status_code == 405
    assert await api.digest() == before
