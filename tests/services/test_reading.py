"""Reads with SQL of their own tell what the ORM tells, and requests that share a statement don't harm each other."""

import asyncio
import logging
from datetime import UTC, date, datetime

import pytest
from tortoise.models import Model
from tortoise.transactions import in_transaction

from app.domain.access import Principal, PrincipalKind
from app.domain.ledger import Transaction as Posted
from app.domain.page import PageRequest
from app.models.customer import Customer
from app.models.reading import AT_ONCE, Lookup
from app.models.transaction import Transaction
from app.models.wallet import Wallet, known_customer
from app.services import transaction as transactions, wallet as wallets
from app.services.ledger.command import WalletRef
from app.services.ledger.rows import transaction_of, wallet_of as wallet_of_record
from app.services.ledger.writer import Writer
from app.services.transaction import TransactionFilter
from tests.ledger import credit, debit, submit_all
from tests.orders import MANAGER

CUSTOMERS = [f"c{n}" for n in range(5)]


@pytest.fixture
async def wallet_of(writer: Writer) -> dict[str, Wallet]:
    """Wallets with a few transactions each, one customer with all there is to know of them."""
    await submit_all(writer, [credit(name, 100 + n) for n, name in enumerate(CUSTOMERS * 3)])
    await submit_all(writer, [debit(name, 7) for name in CUSTOMERS])
    async with in_transaction("writer") as connection:
        known = {
            "roles": ["vip"],
            "segments": [],
            "birthday": date(1990, 2, 28),
            "birthday_on": 228,
            "signed_up_at": datetime.now(UTC),
        }
        await Customer.filter(external_id="c0").using_db(connection).update(name="Ünal", **known)
    return {row.customer.external_id: row async for row in Wallet.all().select_related("customer")}


def fields_of(row: Wallet | Customer | Transaction, model: type[Model] | None = None) -> dict[str, object]:
    columns = (type(row) if model is None else model)._meta.fields_db_projection
    return {name: getattr(row, name) for name in columns}


async def test_a_wallet_is_what_the_orm_says(wallet_of: dict[str, Wallet]) -> None:
    for name, expected in wallet_of.items():
        refs = [
            WalletRef(wallet_id=expected.id),
            WalletRef(customer_id=expected.customer_id),
            WalletRef(external_id=name),
        ]
        for ref in refs:
            found = await wallets.find(ref, MANAGER)
            assert found is not None
            assert fields_of(found, Wallet) == fields_of(expected)
            assert fields_of(found.customer, Customer) == fields_of(expected.customer)
            assert known_customer(found) == found.customer
            assert known_customer(expected) is expected.customer


async def test_who_asks_together_shares_a_statement_and_rows_that_nobody_can_change(
    wallet_of: dict[str, Wallet], caplog: pytest.LogCaptureFixture
) -> None:
    ids = [row.id for row in wallet_of.values()] * 4
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        found = await asyncio.gather(*(wallets.find(WalletRef(wallet_id=id_), MANAGER) for id_ in ids))
    assert len([record for record in caplog.records if "SELECT" in record.getMessage()]) <= AT_ONCE
    assert [row.id for row in found if row is not None] == ids
    for row in found:
        assert row is not None
        with pytest.raises(AttributeError):
            row.status = "FROZEN"
        row.customer.roles.append("changed by one of them")
        assert "changed by one of them" not in row.customer.roles


async def test_sharing_a_statement_shows_nobody_what_is_not_theirs(wallet_of: dict[str, Wallet]) -> None:
    def me(name: str) -> Principal:
        return Principal(PrincipalKind.CUSTOMER, name, customer_external_id=name)

    pairs = [(mine, asked) for mine in CUSTOMERS for asked in CUSTOMERS]
    found = await asyncio.gather(
        *(wallets.find(WalletRef(external_id=asked), me(mine)) for mine, asked in pairs)
    )
    assert [row is not None for row in found] == [mine == asked for mine, asked in pairs]


async def test_what_was_committed_before_is_seen(writer: Writer, wallet_of: dict[str, Wallet]) -> None:
    wallet = wallet_of["c0"]

    async def spend_and_look(n: int) -> tuple[int, int]:
        outcome = (await submit_all(writer, [debit("c0", n)]))[0]
        seen = await wallets.find(WalletRef(wallet_id=wallet.id), MANAGER)
        assert seen is not None
        assert not isinstance(outcome, BaseException)
        assert outcome.wallet is not None
        return outcome.wallet.sequence, seen.sequence

    for posted, seen in await asyncio.gather(*(spend_and_look(n) for n in range(1, 9))):
        assert seen >= posted


@pytest.mark.parametrize("first", [0, 1, 2, 50])
async def test_the_newest_transactions_are_what_the_orm_says(
    wallet_of: dict[str, Wallet], first: int
) -> None:
    request, by_orm = PageRequest(first=first), transactions.histories()
    assert transactions.is_of_newest(TransactionFilter(), request)
    for wallet in wallet_of.values():
        ours, theirs = await asyncio.gather(
            transactions.newest_page(wallet.id, request),
            by_orm.load((wallet.id, TransactionFilter(), request)),
        )
        assert [fields_of(row, Transaction) for row in ours.rows] == [fields_of(row) for row in theirs.rows]
        assert (ours.cursors, ours.has_next, ours.has_previous) == (
            theirs.cursors,
            theirs.has_next,
            theirs.has_previous,
        )


async def test_a_key_that_breaks_the_statement_harms_no_other(wallet_of: dict[str, Wallet]) -> None:
    async def load(_client: object, keys: list[int]) -> dict[int, str]:
        await asyncio.sleep(0)
        return {key: f"found {10 // key}" for key in keys}

    lookup = Lookup(load)
    answers = await asyncio.gather(*(lookup.find(key) for key in (1, 0, 5)), return_exceptions=True)
    assert [answers[0], answers[2]] == ["found 10", "found 2"]
    assert isinstance(answers[1], ZeroDivisionError)


async def test_one_who_stops_waiting_stops_nobody_else(wallet_of: dict[str, Wallet]) -> None:
    go = asyncio.Event()

    async def load(_client: object, keys: list[int]) -> dict[int, int]:
        await go.wait()
        return {key: key for key in keys}

    lookup = Lookup(load)
    gone, staying = asyncio.create_task(lookup.find(1)), asyncio.create_task(lookup.find(1))
    await asyncio.sleep(0)
    gone.cancel()
    go.set()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_what_was_just_committed_is_told_as_it_is_read(writer: Writer) -> None:
    outcome = (await submit_all(writer, [credit("c9", 250)]))[0]
    assert not isinstance(outcome, BaseException)
    assert outcome.wallet is not None
    assert isinstance(outcome.answer, Posted)
    assert fields_of(wallet_of_record(outcome.wallet)) == fields_of(await Wallet.get(id=outcome.wallet.id))
    row = await Transaction.get(id=outcome.answer.id)
    assert fields_of(transaction_of(outcome.answer)) == fields_of(row)
