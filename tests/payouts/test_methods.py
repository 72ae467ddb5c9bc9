"""Payout methods by the services, on both databases: sealed, shared, waited for, removed."""

import asyncio
from uuid import UUID

import orjson
import pytest

from app.domain.errors import (
    FieldInvalid,
    IdempotencyKeyReused,
    LimitReached,
    NotFound,
    PayoutMethodNotUsable,
    PayoutMethodsClosed,
)
from app.domain.payout_method import METHODS_MAX, PayoutMethodKind
from app.domain.withdrawal_terms import WithdrawalTerms
from app.models.audit import AuditEntry
from app.models.payout_method import PayoutMethod
from app.models.signal import Signal
from app.sealing import Sealer
from app.services import payout_method as payout_methods
from app.services.ledger.writer import Writer
from tests.auditor import read_tables
from tests.ledger import Clock, credit
from tests.payouts.till import ALL, IBANS, SEALER, TERMS, Till, customer


@pytest.fixture
async def till(writer: Writer, clock: Clock) -> Till:
    for who in ("ada", "bob"):
        await writer.submit(credit(who, 10_000))
    return await Till(writer, clock).open(waiting_hours=24)


def iban(number: int = 0) -> dict[str, str]:
    return {"holder": "Ada King", "iban": IBANS[number]}


async def test_details_are_nowhere_in_the_clear(till: Till) -> None:
    kept = await till.method("ada")
    found = await payout_methods.reveal(
        till.writer, ALL, kept.method.id, note="To pay WD-1 by hand", sealer=SEALER, idempotency_key="r"
    )
    assert found.details == iban()
    everything = orjson.dumps(
        {name: [list(row.values()) for row in rows] for name, rows in (await read_tables()).items()},
        default=lambda value: value.hex() if isinstance(value, bytes) else str(value),
    )
    for secret in (IBANS[0], IBANS[0][4:], "Ada King"):
        assert secret.encode() not in everything
        assert secret.encode().hex().encode() not in everything


async def test_who_reads_it_is_written_down_once(till: Till) -> None:
    kept = await till.method("ada")
    for _ in range(2):
        await payout_methods.reveal(
            till.writer, ALL, kept.method.id, note="To pay WD-1 by hand", sealer=SEALER, idempotency_key="r"
        )
    (entry,) = await AuditEntry.filter(action="READ_PAYOUT_DETAILS")
    assert (entry.actor_id, entry.note, entry.wallet_id) == ("s-1", "To pay WD-1 by hand", kept.wallet.id)


async def test_nobody_reads_it_without_the_key(till: Till) -> None:
    kept = await till.method("ada")
    for sealer in (None, Sealer([b"k" * 32])):
        with pytest.raises(PayoutMethodsClosed):
            await payout_methods.reveal(
                till.writer,
                ALL,
                kept.method.id,
                note="To pay WD-1 by hand",
                sealer=sealer,
                idempotency_key="r",
            )
        assert await AuditEntry.filter(action="READ_PAYOUT_DETAILS").count() == 0
    with pytest.raises(PayoutMethodsClosed):
        await till.method("ada", sealer=None)


async def test_a_sealed_text_moved_to_another_row_does_not_open(till: Till) -> None:
    """Whoever can write to the database can't have Bob's money sent to Ada's account."""
    adas, bobs = await till.method("ada"), await till.method("bob", details=iban(1))
    bobs.method.sealed = adas.method.sealed
    with pytest.raises(PayoutMethodsClosed):
        payout_methods.opened(SEALER, bobs.method)
    adas.method.wallet_id = bobs.method.wallet_id
    with pytest.raises(PayoutMethodsClosed):
        payout_methods.opened(SEALER, adas.method)


async def test_repeated_it_is_one(till: Till) -> None:
    first = await till.method("ada", key="k")
    again = await till.method(
        "ada", key="k", details={"holder": "Ada King", "iban": "de89 3704 0044 0532 0130 00"}
    )
    assert (again.method.id, again.replayed, await PayoutMethod.all().count()) == (first.method.id, True, 1)
    with pytest.raises(IdempotencyKeyReused):
        await till.method("ada", key="k", details=iban(1))
    with pytest.raises(IdempotencyKeyReused):
        await till.method("ada", key="k", details=iban() | {"holder": "Eve"})


async def test_there_are_ten_at_most(till: Till) -> None:
    kept = [
        await till.method("ada", PayoutMethodKind.PROVIDER, {"token": f"card_{number}"})
        for number in range(METHODS_MAX)
    ]
    with pytest.raises(LimitReached):
        await till.method("ada")
    await payout_methods.remove(till.writer, customer("ada"), kept[0].method.id, idempotency_key="r")
    await till.method("ada")


@pytest.mark.parametrize("together", [False, True])
async def test_one_that_others_have_is_a_signal(till: Till, together: bool) -> None:
    if together:
        await asyncio.gather(*(till.method(who) for who in ("ada", "bob")))
    else:
        await till.method("ada")
        await till.method("ada")
        assert await Signal.all().count() == 0, "one's own twice is nothing odd"
        kept = await till.method("bob")
        (signal,) = await Signal.all()
        assert signal.wallet_id == kept.wallet.id
    signals = await Signal.all()
    assert {(signal.kind, signal.count) for signal in signals} == {("SHARED_PAYOUT_METHOD", 2)}


async def test_a_shared_one_is_found_after_the_keys_changed(till: Till) -> None:
    await till.method("ada")
    await till.method("bob", sealer=Sealer([b"n" * 32, bytes(range(32))]))
    assert await Signal.filter(kind="SHARED_PAYOUT_METHOD").count() == 1


async def test_money_waits_until_the_method_may_be_used(till: Till) -> None:
    kept = await till.method("ada")
    with pytest.raises(PayoutMethodNotUsable):
        await till.request("ada", kept.method.id)
    till.clock.move(hours=23, minutes=59)
    with pytest.raises(PayoutMethodNotUsable):
        await till.request("ada", kept.method.id)
    till.clock.move(minutes=1)
    done = await till.request("ada", kept.method.id)
    assert (done.payout_method_id, done.method) == (kept.method.id, "BANK_IBAN")
    await payout_methods.remove(till.writer, customer("ada"), kept.method.id, idempotency_key="r")
    with pytest.raises(PayoutMethodNotUsable):
        await till.request("ada", kept.method.id)


async def test_nobody_is_paid_to_what_is_not_theirs(till: Till) -> None:
    kept = await till.method("ada")
    till.clock.move(days=2)
    for method_id in (kept.method.id, UUID(int=7)):
        with pytest.raises(NotFound):
            await till.request("bob", method_id)
    with pytest.raises(NotFound):
        await payout_methods.remove(till.writer, customer("bob"), kept.method.id, idempotency_key="r")


async def test_the_store_says_which_kinds_it_pays_to(till: Till) -> None:
    kept = await till.method("ada")
    await till.open(waiting_hours=24, terms=WithdrawalTerms(enabled=True, methods=("MANUAL", "PAYPAL")))
    till.clock.move(days=2)
    with pytest.raises(FieldInvalid) as refused:
        await till.request("ada", kept.method.id)
    assert "PAYPAL" in refused.value.message
    await till.open(waiting_hours=24, terms=TERMS)
    assert (await till.request("ada", kept.method.id)).method == "BANK_IBAN"
