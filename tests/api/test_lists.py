"""Lists: found by search and filters, sorted, and walked through in pages."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from app.models import paging, search
from app.schema.types import connection
from tests.api.store import (
    ADMINISTRATOR,
    Caller,
    JsonObject,
    Store,
    assert_helpful,
    assert_path,
    fresh,
    root_fields,
)

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

ROWS = 23
NAMES = ("Ada", "ada", "Bea", "Zoë", "")
AMOUNTS = ("1.00", "2.50", "2.50", "10.00")

PAGE = (
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } } nodes { id }"
)


@dataclass(frozen=True)
class Listing:
    """A list, how its arguments are written, and the wallets or customers that this module made."""

    field: str
    arguments: str = ""

    def query(self, more: str = PAGE) -> str:
        """The document; the variables are those of paging and whatever the list has."""
        types = {name: str(argument.type) for name, argument in root_fields("Query")[self.field].args.items()}
        declared = ", ".join(f"${name}: {type_.rstrip('!')}" for name, type_ in types.items())
        given = ", ".join(f"{name}: ${name}" for name in types if name != "direction")
        declared = declared.replace(", $direction: SortDirection", "").replace(
            "$direction: SortDirection", ""
        )
        return f"query ({declared}) {{ {self.field}({given}) {{ {more} }} }}"


async def page(
    store: Store, listing: Listing, more: str = PAGE, caller: Caller = ADMINISTRATOR, **variables: Any
) -> JsonObject:
    """Ask for a page."""
    answer = await store.execute(listing.query(more), variables, caller)
    found: JsonObject = answer.data[listing.field]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(api: Store) -> list[JsonObject]:
    """Customers with wallets: names and balances repeat, and, made at once, so do the times."""

    async def make(number: int) -> JsonObject:
        customer = await api.customer(
            name=f"Page {NAMES[number % len(NAMES)]}", email=f"page{number}@shop.example"
        )
        payload = await api.adjust(
            customer, AMOUNTS[number % len(AMOUNTS)], note=f"Page of order {number} was lost"
        )
        return {**customer, "wallet": payload["wallet"], "transaction": payload["transaction"]}

    made = await asyncio.gather(*(make(number) for number in range(ROWS)))
    await asyncio.gather(*(api.withdrawal(one, "0.50") for one in made))
    return list(made)


WALLET_SORTS = ("BALANCE", "CREATED_AT", "CUSTOMER_NAME", "LAST_ACTIVITY_AT")
WALK = [
    *(
        pytest.param(
            "wallets",
            {"sort": {"field": name, "direction": way}, "search": "page"},
            id=f"wallets-{name}-{way}",
        )
        for name in WALLET_SORTS
        for way in ("ASC", "DESC")
    ),
    *(
        pytest.param(
            "customers",
            {"sort": {"field": name, "direction": way}, "search": "page"},
            id=f"customers-{name}-{way}",
        )
        for name in ("NAME", "CREATED_AT")
        for way in ("ASC", "DESC")
    ),
    pytest.param("wallets", {"search": "page"}, id="wallets"),
    pytest.param("customers", {"search": "page"}, id="customers"),
    pytest.param("transactions", {"filter": {"search": "page of order"}}, id="transactions"),
    pytest.param("withdrawals", {}, id="withdrawals"),
]


async def walked(store: Store, listing: Listing, size: int, *, forwards: bool, **variables: Any) -> list[str]:
    """The ids of all pages, one page after the other."""
    ids: list[str] = []
    cursor = None
    for _ in range(100):
        if forwards:
            found = await page(store, listing, first=size, after=cursor, **variables)
            ids += [node["id"] for node in found["nodes"]]
            more, cursor = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        else:
            found = await page(store, listing, last=size, before=cursor, **variables)
            ids = [node["id"] for node in found["nodes"]] + ids
            more, cursor = found["pageInfo"]["hasPreviousPage"], found["pageInfo"]["startCursor"]
        assert [edge["node"] for edge in found["edges"]] == found["nodes"]
        if not more:
            return ids
    raise AssertionError("the pages never end")


@pytest.mark.parametrize(("field", "variables"), WALK)
async def test_pages_cover_each_row_once(
    api: Store, people: list[JsonObject], field: str, variables: JsonObject
) -> None:
    listing = Listing(field)
    whole = await page(api, listing, first=100, **variables)
    ids = [node["id"] for node in whole["nodes"]]
    assert len(ids) == len(set(ids)) == ROWS
    assert whole["pageInfo"]["hasNextPage"] is False
    assert whole["pageInfo"]["hasPreviousPage"] is False
    for size in (1, 5, ROWS):
        assert await walked(api, listing, size, forwards=True, **variables) == ids
        assert await walked(api, listing, size, forwards=False, **variables) == ids
    by_offset = [
        node["id"]
        for start in range(0, ROWS, 10)
        for node in (await page(api, listing, first=10, offset=start, **variables))["nodes"]
    ]
    assert by_offset == ids
    assert (await page(api, listing, "totalCount", first=0, **variables))["totalCount"] == ROWS


@pytest.mark.parametrize("field", ["transactions", "withdrawals"])
async def test_pages_of_one_wallet(api: Store, field: str) -> None:
    customer = await api.funded("100.00")
    for _ in range(6):
        if field == "transactions":
            await api.adjust(customer, "1.00")
        else:
            await api.withdrawal(customer, "1.00")
    expected = 7 if field == "transactions" else 6
    query = (
        "query ($name: String!, $first: Int, $after: String, $last: Int, $before: String) "
        f"{{ wallet(by: {{storeCustomerId: $name}}) {{ {field}(first: $first, after: $after, last: $last, before: $before)"
        f" {{ totalCount {PAGE} }} }} }}"
    )

    async def ask(**variables: Any) -> JsonObject:
        answer = await api.execute(query, {"name": customer["storeCustomerId"], **variables})
        found: JsonObject = answer.data["wallet"][field]
        return found

    whole = await ask(first=100)
    ids = [node["id"] for node in whole["nodes"]]
    assert (len(set(ids)), whole["totalCount"]) == (expected, expected)
    forwards, backwards, after, before = [], [], None, None
    for _ in range(expected):
        ahead, behind = await ask(first=1, after=after), await ask(last=1, before=before)
        forwards += [node["id"] for node in ahead["nodes"]]
        backwards += [node["id"] for node in behind["nodes"]]
        after, before = ahead["pageInfo"]["endCursor"], behind["pageInfo"]["startCursor"]
    assert forwards == ids
    assert backwards == ids[::-1]
    assert (await ask(first=5, after=after))["nodes"] == []


@pytest.mark.parametrize("way", ["ASC", "DESC"])
async def test_rows_that_come_meanwhile_shift_no_page(api: Store, way: str) -> None:
    """A row is neither told twice nor passed over because another came in before or after it."""
    word = fresh("Shift").replace("-", "")
    await asyncio.gather(*(api.customer(name=f"{word} {number}") for number in range(9)))
    listing = Listing("wallets")
    sort = {"field": "CREATED_AT", "direction": way}
    before = {node["id"] for node in (await page(api, listing, first=100, search=word, sort=sort))["nodes"]}
    seen, cursor = [], None
    for number in range(20):
        found = await page(api, listing, first=2, after=cursor, search=word, sort=sort)
        seen += [node["id"] for node in found["nodes"]]
        cursor = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
        if number < 3:
            await api.customer(name=f"{word} late {number}")
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


SORT_VALUES: dict[str, Callable[[JsonObject], Any]] = {
    "BALANCE": lambda node: float(node["balance"]["amount"]),
    "CREATED_AT": lambda node: node["createdAt"],
    "LAST_ACTIVITY_AT": lambda node: node["lastActivityAt"],
}


@pytest.mark.parametrize("name", sorted(SORT_VALUES))
async def test_wallets_are_in_order(api: Store, people: list[JsonObject], name: str) -> None:
    more = "nodes { balance { amount } createdAt lastActivityAt }"
    for way in ("ASC", "DESC"):
        found = await page(api, Listing("wallets"), more, first=100, sort={"field": name, "direction": way})
        values = [SORT_VALUES[name](node) for node in found["nodes"]]
        assert values == sorted(values, reverse=way == "DESC")


async def test_names_are_in_order(api: Store, people: list[JsonObject]) -> None:
    listing = Listing("customers")
    sort = {"field": "NAME", "direction": "ASC"}
    found = await page(api, listing, "nodes { name }", first=100, search="page", sort=sort)
    names = [node["name"] for node in found["nodes"]]
    groups = list(dict.fromkeys(names))
    assert len(groups) == len(set(names)), "the same names stand together"
    assert names.index("Page Ada") < names.index("Page Bea") < names.index("Page Zoë")


# --- search -------------------------------------------------------------------------------------------------

NAMED = (
    ("Zoë Quinn", ["zoë", "ZOË", "oË quin", "zoe\u0308", "QUINN zoë"]),
    (
        "İpek Işık",
        [
            "i̇pek",
            "İPEK",
            "ipek",
            "IŞIK",
            "ışık",
        ],
    ),
    ("Jürgen Groß", ["groß", "GROSS", "gross", "JÜRGEN"]),
    ("Søren Ærø", ["ÆRØ", "søREN"]),
    ("Ольга Иванова", ["ольга", "ИВАНОВА", "льг"]),
    ("Ελένη Παπάς", ["παπάσ", "ΠΑΠΆΣ", "ελένη"]),
    ("山田太郎", ["山田", "太郎"]),
    ("O'Brien; DROP TABLE", ["o'brien", "DROP", "drop n;"]),
)


@pytest.mark.parametrize(("name", "searches"), NAMED, ids=[name.split()[-1] for name, _ in NAMED])
async def test_found_in_any_case(api: Store, name: str, searches: list[str]) -> None:
    customer = await api.customer(name=name)
    for text in searches:
        for field in ("wallets", "customers"):
            found = await page(api, Listing(field), first=100, search=text)
            wanted = customer["wallet"]["id"] if field == "wallets" else customer["id"]
            assert wanted in [node["id"] for node in found["nodes"]], (field, text)


async def test_found_by_parts_of_name_mail_and_store_id(api: Store) -> None:
    word = fresh("Wort").replace("-", "")
    name = fresh("STORE_Id")
    payload = await api.done(
        "registerCustomer",
        {"storeCustomerId": name, "name": f"{word} Beispiel", "email": f"Mail.{word}@Shop.Example"},
    )
    for text in (
        word.upper(),
        f"mail.{word}@",
        name.lower(),
        f"{word} beispiel",
        f"beispiel {name}",
        word[1:-1],
    ):
        found = await page(api, Listing("customers"), first=10, search=text)
        assert payload["customer"]["id"] in [node["id"] for node in found["nodes"]], text
    assert (await page(api, Listing("customers"), first=10, search=f"{word} nowhere"))["nodes"] == []


@pytest.mark.parametrize("wild", ["%", "_", "\\", "%%", "*", "?", "[a-z]", "\\%", "'", '"'])
async def test_wildcards_are_letters_like_others(api: Store, wild: str) -> None:
    word = fresh("Wild").replace("-", "")
    plain = await api.customer(name=f"{word}xyz")
    literal = await api.customer(name=f"{word}{wild}zzz")
    for text in (f"{word}{wild}", f"{wild}zzz", f"zzz {wild}z"):
        found = await page(api, Listing("customers"), first=100, search=text)
        ids = [node["id"] for node in found["nodes"]]
        assert literal["id"] in ids
        assert plain["id"] not in ids
    await api.adjust(plain, "1.00", note=f"{word}xyz parcel of order 7")
    await api.adjust(literal, "1.00", note=f"{word}{wild}z parcel of order 7")
    found = await page(
        api, Listing("transactions"), "nodes { note }", first=100, filter={"search": f"{word}{wild}"}
    )
    assert [node["note"] for node in found["nodes"]] == [f"{word}{wild}z parcel of order 7"]


async def test_notes_are_found_in_any_case(api: Store) -> None:
    word = fresh("Größe").replace("-", "")
    customer = await api.customer()
    payload = await api.adjust(customer, "1.00", note=f"Falsche {word} bei Bestellung 7")
    reference = payload["transaction"]["reference"]
    for text in (
        word,
        word.upper().replace("SS", "ß"),
        word.lower(),
        f"falsche {word}",
        reference,
        reference[:9].lower(),
    ):
        found = await page(api, Listing("transactions"), first=100, filter={"search": text})
        assert payload["transaction"]["id"] in [node["id"] for node in found["nodes"]], text


@pytest.mark.parametrize("text", ["a", "ab", "é", "a b cd", "山", "ab 山"])
async def test_a_search_of_short_words_is_refused(api: Store, text: str) -> None:
    for field in ("wallets", "customers", "withdrawals"):
        answer = await api.execute(Listing(field).query(), {"search": text})
        assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", "search")
        assert_helpful(answer.message)


async def test_accents_and_kana_are_letters_of_their_own_in_both_databases(api: Store) -> None:
    word = fresh("Akzent").replace("-", "")
    ids = {
        name: (await api.customer(name=f"{word}{name}"))["id"]
        for name in ("élan", "elan", "ばら", "ぱら", "バラ")
    }
    for name, row_id in ids.items():
        found = await page(api, Listing("customers"), first=100, search=f"{word}{name}")
        assert [node["id"] for node in found["nodes"]] == [row_id], name


async def test_a_customer_is_found_by_the_new_name_alone(api: Store) -> None:
    old, new = (fresh(word).replace("-", "") for word in ("Vorher", "Nachher"))
    customer = await api.customer(name=old)

    async def found(text: str) -> list[str]:
        return [node["id"] for node in (await page(api, Listing("customers"), search=text))["nodes"]]

    assert await found(old) == [customer["id"]]
    await api.done("updateCustomer", {"storeCustomerId": customer["storeCustomerId"], "name": new})
    assert await found(old) == []
    assert await found(new) == [customer["id"]]


@pytest.mark.parametrize("field", ["wallets", "customers", "withdrawals"])
async def test_many_are_found_as_few_are(
    api: Store, people: list[JsonObject], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await walked(api, Listing(field), 7, forwards=True, search="shop.example page")
    monkeypatch.setattr(paging, "FEW_MAX", 5)
    many = await walked(api, Listing(field), 7, forwards=True, search="shop.example page")
    assert many == few
    assert len(few) == ROWS
    # What a larger sample says of them leads to the same rows.
    monkeypatch.setattr(search, "_WORTH_IT", 0)
    monkeypatch.setattr(search, "_COMMON", 10_000)
    assert await walked(api, Listing(field), 7, forwards=True, search="shop.example page") == few


SEARCHED = [each for each in WALK if each.values[0] in {"wallets", "customers"}]
"""Of the lists that are paged through, those that a search is made in, which finds all of this module's customers."""


def walk_so_far(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Have lists walk for so many steps, whatever they look for, before they ask an index for all of it."""
    monkeypatch.setattr(paging, "FEW_MAX", 2)
    monkeypatch.setattr(paging, "WALKED_MAX", steps)
    monkeypatch.setattr(paging.Walk, "steps", lambda walk, request: steps)


@pytest.mark.parametrize(("field", "variables"), SEARCHED)
@pytest.mark.parametrize("steps", [1, 9, 100_000])
async def test_a_walk_finds_what_the_index_finds(
    api: Store,
    people: list[JsonObject],
    field: str,
    variables: JsonObject,
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        await walked(api, Listing(field), 7, forwards=forwards, **variables) for forwards in (True, False)
    ]
    walk_so_far(monkeypatch, steps)
    for forwards in (True, False):
        assert await walked(api, Listing(field), 7, forwards=forwards, **variables) == found[not forwards]
    counted = await page(api, Listing(field), "totalCount", **variables)
    assert counted["totalCount"] == len(found[0])


@pytest.mark.parametrize("steps", [1, 9, 100_000])
@pytest.mark.parametrize("name", WALLET_SORTS)
async def test_a_range_is_walked_to_the_same_wallets(
    api: Store, people: list[JsonObject], name: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: JsonObject = {"filter": {"balance": {"min": "1.50", "max": "2.50"}}, "sort": {"field": name}}
    found = await walked(api, Listing("wallets"), 4, forwards=True, **wanted)
    offset = await page(api, Listing("wallets"), first=4, offset=3, **wanted)
    assert len(found) >= ROWS // 2
    walk_so_far(monkeypatch, steps)
    assert await walked(api, Listing("wallets"), 4, forwards=True, **wanted) == found
    assert await page(api, Listing("wallets"), first=4, offset=3, **wanted) == offset


@pytest.mark.parametrize(
    ("counts", "telling"),
    [
        # Among equals those that don't overlap.
        ({"joh": 0, "oha": 0, "han": 0, "ans": 0, "nss": 0, "sse": 0, "sen": 0}, ["joh", "ans", "sen"]),
        ({"joh": 9, "oha": 9, "han": 9, "ans": 3, "nss": 2, "sse": 1, "sen": 4}, ["ans", "nss", "sse"]),
        # What many have tells little: it is left out, but for two.
        ({"joh": 90, "oha": 80, "han": 70, "ans": 60, "nss": 60, "sse": 60, "sen": 1}, ["ans", "sen"]),
    ],
)
def test_the_index_is_asked_for_few_grams(counts: dict[str, int], telling: list[str]) -> None:
    newest = search._Newest(rows=200, found=0, by_gram=counts, customers=1_000_000)
    assert search._telling(["johanssen"], list(counts), newest) == telling


def test_the_index_is_asked_for_a_gram_of_each_word() -> None:
    counts = {"ann": 30, "nna": 25, "joh": 0, "oha": 1, "han": 2, "ans": 3}
    newest = search._Newest(rows=200, found=0, by_gram=counts, customers=1_000_000)
    assert search._telling(["anna", "johans"], list(counts), newest) == ["nna", "joh", "oha", "han"]


async def test_a_count_ends(api: Store, people: list[JsonObject], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "totalCount totalCountIsExact"
    assert await page(api, Listing("wallets"), asked, search="page") == {
        "totalCount": ROWS,
        "totalCountIsExact": True,
    }
    for module in (paging, connection):
        monkeypatch.setattr(module, "COUNT_MAX", ROWS - 1)
    assert await page(api, Listing("wallets"), asked, search="page") == {
        "totalCount": ROWS - 1,
        "totalCountIsExact": False,
    }


async def test_a_search_of_notes_looks_at_the_newest(
    api: Store, people: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    word = fresh("Notiz").replace("-", "")
    customer = await api.customer()
    for number in range(4):
        await api.adjust(customer, "1.00", note=f"{word} number {number} of four")

    async def found(**filter_: Any) -> list[str]:
        nodes = (await page(api, Listing("transactions"), "nodes { note createdAt }", filter=filter_))[
            "nodes"
        ]
        times.update({node["note"]: node["createdAt"] for node in nodes})
        return [node["note"].split()[2] for node in nodes]

    times: dict[str, str] = {}
    assert await found(search=word) == ["3", "2", "1", "0"]
    monkeypatch.setattr(paging, "SEARCHED_MAX", 1)
    assert await found(search=word) == ["3", "2"]
    assert await found(search=word, created={"to": times[f"{word} number 1 of four"]}) == ["1", "0"]
    assert await found(actorId=ADMINISTRATOR.subject, kinds=["ADJUSTMENT"])
    reference = (await page(api, Listing("transactions"), "nodes { reference }", filter={"search": word}))[
        "nodes"
    ][0]["reference"]
    found_by_it = await page(api, Listing("transactions"), "totalCount", filter={"search": reference.lower()})
    assert found_by_it["totalCount"] == 1


async def test_a_blank_search_finds_all(api: Store, people: list[JsonObject]) -> None:
    for field in ("wallets", "customers"):
        count = (await page(api, Listing(field), "totalCount"))["totalCount"]
        for blank in ("", "   "):
            assert (await page(api, Listing(field), "totalCount", search=blank))["totalCount"] == count


# --- filters ------------------------------------------------------------------------------------------------


async def test_filters_of_wallets(api: Store) -> None:
    word = fresh("Sieb").replace("-", "")
    poor = await api.customer(name=word)
    rich = await api.funded("500.00", name=word)
    stopped = await api.funded("50.00", name=word)
    await api.freeze(stopped)
    times = "query ($id: ID!) { wallet(by: {id: $id}) { createdAt lastActivityAt } }"
    rich_times = (await api.execute(times, {"id": rich["wallet"]["id"]})).data["wallet"]

    async def found(**filter_: Any) -> set[str]:
        answer = await page(
            api, Listing("wallets"), "totalCount nodes { id }", first=100, search=word, filter=filter_
        )
        assert answer["totalCount"] == len(answer["nodes"])
        return {node["id"] for node in answer["nodes"]}

    ids = {name: one["wallet"]["id"] for name, one in (("poor", poor), ("rich", rich), ("stopped", stopped))}
    everything = set(ids.values())
    assert await found() == everything
    assert await found(balance={"min": "50.00"}) == {ids["rich"], ids["stopped"]}
    assert await found(balance={"max": "50"}) == {ids["poor"], ids["stopped"]}
    assert await found(balance={"min": "0.01", "max": "499.99"}) == {ids["stopped"]}
    assert await found(balance={"min": "500.00", "max": "500.00"}) == {ids["rich"]}
    assert await found(balance={"min": "-1" + "0" * 30, "max": "1" + "0" * 30}) == everything
    assert await found(balance={"min": "2", "max": "1"}) == set()
    assert await found(statuses=["FROZEN"]) == {ids["stopped"]}
    assert await found(statuses=["ACTIVE", "FROZEN"]) == everything
    assert await found(statuses=[]) == set()
    assert ids["rich"] in await found(
        created={"from": rich_times["createdAt"], "to": rich_times["createdAt"]}
    )
    assert await found(created={"to": "2001-01-01T00:00:00Z"}) == set()
    assert await found(created={"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}) == everything
    activity = rich_times["lastActivityAt"]
    assert ids["rich"] in await found(lastActivity={"from": activity, "to": activity})
    assert ids["rich"] not in await found(lastActivityBefore=activity)
    assert await found(lastActivityBefore="9999-12-31T23:59:59Z") == everything
    assert await found(balance={"min": "1"}, statuses=["ACTIVE"]) == {ids["rich"]}
    assert await found(balance={"min": "1"}, statuses=["ACTIVE"], lastActivityBefore=activity) == set()


async def test_filters_of_transactions(api: Store) -> None:
    customer = await api.customer()
    tag = fresh("Filter").replace("-", "")
    clerk = Caller(fresh("clerk"), ("shop_manager",))
    made = {}
    for name, amount, more in (
        ("cash", "10.00", {}),
        ("promo", "20.00", {"bucket": "PROMO", "reason": "PROMOTION"}),
        ("taken", "-5.00", {"reason": "ABUSE", "bucket": "CASH"}),
        ("clerk's", "7.00", {"caller": clerk, "reason": "RETURN"}),
    ):
        payload = await api.adjust(customer, amount, note=f"{tag} {name} of order 7", **more)
        made[payload["transaction"]["id"]] = name
    posted = "query ($id: ID!) { transaction(by: {id: $id}) { createdAt } }"
    promo_id = next(id_ for id_, name in made.items() if name == "promo")
    posted_at = (await api.execute(posted, {"id": promo_id})).data["transaction"]["createdAt"]
    by_wallet = (
        "query ($name: String!, $filter: TransactionFilter) { wallet(by: {storeCustomerId: $name}) "
        "{ transactions(first: 100, filter: $filter) { totalCount nodes { id } } } }"
    )

    async def found(**filter_: Any) -> set[str]:
        whole = {"search": tag, **filter_}
        of_store = await page(
            api, Listing("transactions"), "totalCount nodes { id }", first=100, filter=whole
        )
        answer = await api.execute(by_wallet, {"name": customer["storeCustomerId"], "filter": whole})
        of_wallet = answer.data["wallet"]["transactions"]
        assert of_wallet == {**of_store, "nodes": of_wallet["nodes"]}
        ids = [node["id"] for node in of_store["nodes"]]
        assert (sorted(node["id"] for node in of_wallet["nodes"]), of_store["totalCount"]) == (
            sorted(ids),
            len(ids),
        )
        return {made[id_] for id_ in ids}

    assert await found() == set(made.values())
    assert await found(direction="DEBIT") == {"taken"}
    assert await found(direction="CREDIT") == {"cash", "promo", "clerk's"}
    assert await found(buckets=["PROMO"]) == {"promo"}
    assert await found(buckets=["PROMO", "CASH"]) == set(made.values())
    assert await found(buckets=["GIFT_CARD"]) == set()
    assert await found(reasons=["ABUSE", "RETURN"]) == {"taken", "clerk's"}
    assert await found(kinds=["ADJUSTMENT"]) == set(made.values())
    assert await found(kinds=["PURCHASE", "WITHDRAWAL"]) == set()
    assert await found(kinds=[]) == set()
    assert await found(actorId=clerk.subject) == {"clerk's"}
    assert await found(actorId="nobody") == set()
    assert await found(amount={"min": "7", "max": "10"}) == {"cash", "clerk's"}
    assert await found(amount={"max": "5.00"}) == {"taken"}
    assert await found(amount={"min": "5.00"}, direction="DEBIT") == {"taken"}
    assert await found(amount={"min": "0"}) == set(made.values())
    assert "promo" in await found(created={"from": posted_at, "to": posted_at})
    assert "cash" not in await found(created={"from": posted_at})
    assert await found(search=f"{tag} promo") == {"promo"}
    assert await found(direction="CREDIT", buckets=["CASH"], amount={"max": "9"}, reasons=["RETURN"]) == {
        "clerk's"
    }


async def test_the_store_s_history_both_ways(api: Store, people: list[JsonObject]) -> None:
    query = "query ($way: SortDirection!) { transactions(first: 100, direction: $way) { nodes { id createdAt } } }"
    newest = (await api.execute(query, {"way": "DESC"})).data["transactions"]["nodes"]
    oldest = (await api.execute(query, {"way": "ASC"})).data["transactions"]["nodes"]
    assert [node["createdAt"] for node in newest] == sorted(
        (node["createdAt"] for node in newest), reverse=True
    )
    assert [node["createdAt"] for node in oldest] == sorted(node["createdAt"] for node in oldest)


async def test_withdrawals_by_state(api: Store) -> None:
    customer = await api.funded("100.00")
    open_, ended = await api.withdrawal(customer), await api.withdrawal(customer)
    await api.done("cancelWithdrawal", {"withdrawalId": ended["id"], "idempotencyKey": fresh("key")})
    of_wallet = (
        "query ($name: String!, $statuses: [WithdrawalStatus!]) { wallet(by: {storeCustomerId: $name}) "
        "{ withdrawals(first: 10, statuses: $statuses) { totalCount nodes { id status } } } }"
    )
    for statuses, expected in (
        (["REQUESTED"], [open_["id"]]),
        (["CANCELLED", "PAID"], [ended["id"]]),
        (None, [ended["id"], open_["id"]]),
        ([], []),
    ):
        answer = await api.execute(of_wallet, {"name": customer["storeCustomerId"], "statuses": statuses})
        found = answer.data["wallet"]["withdrawals"]
        assert (found["totalCount"], [node["id"] for node in found["nodes"]]) == (len(expected), expected)
        of_store = await page(api, Listing("withdrawals"), "nodes { id }", first=100, statuses=statuses)
        assert set(expected) <= {node["id"] for node in of_store["nodes"]}


# --- limits -------------------------------------------------------------------------------------------------

LISTS = ("wallets", "customers", "transactions", "withdrawals")


def forged(*content: Any) -> str:
    """A cursor with this content."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


ID = UUID(int=1).hex
BAD_CURSORS = {
    "text": "garbage",
    "blanks": "   ",
    "not ASCII": "ünïcödé",
    "NUL": "\u0000",
    "long": "A" * 5000,
    "no list": base64.urlsafe_b64encode(b"{}").decode(),
    "too short": forged("CREATED_AT"),
    "too long": forged("CREATED_AT", "2027-01-01T00:00:00+00:00", ID, 1),
    "no time": forged("CREATED_AT", "soon", ID),
    "time without a zone": forged("CREATED_AT", "2027-01-01T00:00:00", ID),
    "a number as a time": forged("CREATED_AT", 5, ID),
    "no id": forged("CREATED_AT", "2027-01-01T00:00:00+00:00", "id"),
    "null": forged("CREATED_AT", None, None),
    "deep": base64.urlsafe_b64encode(b"[" * 900).decode(),
    "another list's": forged("BALANCE", 5, ID),
    "an unknown list's": forged("PASSWORD", 5, ID),
}
# What reads like a cursor, but holds what no row can: an empty page or a refusal, never a defect.
ODD_CURSORS = {
    "before all time": ("CREATED_AT", "0001-01-01T00:00:00+14:00"),
    "after all time": ("CREATED_AT", "9999-12-31T23:59:59-14:00"),
    "a huge balance": ("BALANCE", 10**30),
    "a huge negative balance": ("BALANCE", -(10**30)),
    "2^63": ("BALANCE", 2**63),
    "infinity": ("BALANCE", 1e308),
    "a fraction": ("BALANCE", 1.5),
    "true": ("BALANCE", True),
    "digits": ("BALANCE", "5"),
    "a name with NUL": ("CUSTOMER_NAME", "a\u0000b"),
    "a name of a list": ("CUSTOMER_NAME", ["a"]),
    "a long name": ("CUSTOMER_NAME", "n" * 1000),
}


@pytest.mark.parametrize("name", sorted(BAD_CURSORS))
async def test_bad_cursors(api: Store, people: list[JsonObject], name: str) -> None:
    for field in ("transactions", "withdrawals"):
        for argument in ("after", "before"):
            answer = await api.execute(Listing(field).query(), {argument: BAD_CURSORS[name]})
            assert answer.code == "BAD_USER_INPUT", (field, argument)
            assert answer.errors[0]["extensions"]["argument"] == argument
            assert_helpful(answer.message)


@pytest.mark.parametrize("name", sorted(ODD_CURSORS))
async def test_odd_cursors(api: Store, people: list[JsonObject], name: str) -> None:
    sort, value = ODD_CURSORS[name]
    for argument in ("after", "before"):
        answer = await api.execute(
            Listing("wallets").query(),
            {argument: forged(sort, value, ID), "sort": {"field": sort, "direction": "ASC"}},
        )
        assert answer.code in {None, "BAD_USER_INPUT"}


async def test_a_cursor_belongs_to_its_order(api: Store, people: list[JsonObject]) -> None:
    listing = Listing("wallets")
    cursors = {
        name: (await page(api, listing, first=1, sort={"field": name, "direction": "ASC"}))["pageInfo"][
            "endCursor"
        ]
        for name in WALLET_SORTS
    }
    for name in WALLET_SORTS:
        for other, cursor in cursors.items():
            answer = await api.execute(
                listing.query(), {"after": cursor, "sort": {"field": name, "direction": "ASC"}}
            )
            assert answer.code == (None if name == other else "BAD_USER_INPUT"), (name, other)


BAD_PAGES: tuple[tuple[JsonObject, str], ...] = (
    ({"first": 101}, "first"),
    ({"first": -1}, "first"),
    ({"last": 101}, "last"),
    ({"last": -1}, "last"),
    ({"first": 1, "last": 1}, "last"),
    ({"first": 2**31 - 1}, "first"),
    ({"offset": -1}, "offset"),
    ({"offset": 10_001}, "offset"),
    ({"offset": 1, "last": 1}, "offset"),
)


@pytest.mark.parametrize("field", LISTS)
async def test_limits_of_a_page(api: Store, people: list[JsonObject], field: str) -> None:
    listing = Listing(field)
    assert len((await page(api, listing))["nodes"]) == 20
    assert len((await page(api, listing, first=100))["nodes"]) >= ROWS
    empty = await page(api, listing, first=0)
    assert empty["nodes"] == []
    assert empty["pageInfo"]["hasNextPage"] is True
    assert (await page(api, listing, last=0))["nodes"] == []
    assert (await page(api, listing, first=5, offset=10_000))["nodes"] == []
    assert len((await page(api, listing, last=3))["nodes"]) == 3
    for variables, argument in BAD_PAGES:
        answer = await api.execute(listing.query(), variables)
        assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
        assert_helpful(answer.message)
    wrong: tuple[JsonObject, ...] = (
        {"first": 2**31},
        {"first": "5"},
        {"first": 1.5},
        {"first": True},
        {"offset": None, "first": []},
    )
    for variables in wrong:
        answer = await api.execute(listing.query(), variables)
        assert answer.code == "BAD_USER_INPUT", variables


async def test_the_count_is_of_all_pages(api: Store, people: list[JsonObject]) -> None:
    listing = Listing("wallets")
    pages: tuple[JsonObject, ...] = ({"first": 1}, {"last": 2}, {"first": 3, "offset": 4})
    for variables in pages:
        found = await page(api, listing, f"totalCount {PAGE}", search="page", **variables)
        assert found["totalCount"] == ROWS


BAD_FILTERS: tuple[tuple[str, JsonObject, str], ...] = (
    ("wallets", {"search": "x" * 101}, "search"),
    ("wallets", {"search": "a\u0000"}, "search"),
    ("wallets", {"filter": {"balance": {"min": "0.001"}}}, "filter.balance.min"),
    ("wallets", {"filter": {"balance": {"max": "1.999"}}}, "filter.balance.max"),
    ("wallets", {"filter": {"statuses": ["ACTIVE"] * 51}}, "filter.statuses"),
    ("customers", {"search": "x" * 101}, "search"),
    ("customers", {"search": "\u202e"}, "search"),
    ("transactions", {"filter": {"search": "x" * 101}}, "filter.search"),
    ("transactions", {"filter": {"search": "a\u0000"}}, "filter.search"),
    ("transactions", {"filter": {"actorId": "a\u0000"}}, "filter.actorId"),
    ("transactions", {"filter": {"actorId": "x" * 200}}, "filter.actorId"),
    ("transactions", {"filter": {"amount": {"min": "-1"}}}, "filter.amount.min"),
    ("transactions", {"filter": {"amount": {"max": "0.001"}}}, "filter.amount.max"),
    ("transactions", {"filter": {"kinds": ["ADJUSTMENT"] * 51}}, "filter.kinds"),
    ("transactions", {"filter": {"buckets": ["CASH"] * 51}}, "filter.buckets"),
    ("transactions", {"filter": {"reasons": ["OTHER"] * 51}}, "filter.reasons"),
    ("withdrawals", {"statuses": ["PAID"] * 51}, "statuses"),
)


@pytest.mark.parametrize(("field", "variables", "argument"), BAD_FILTERS)
async def test_bad_filters(api: Store, field: str, variables: JsonObject, argument: str) -> None:
    answer = await api.execute(Listing(field).query(), variables)
    assert (answer.code, answer.errors[0]["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    assert_path(None, tuple(argument.split(".")), root_fields("Query")[field].args)
    assert_helpful(answer.message)
