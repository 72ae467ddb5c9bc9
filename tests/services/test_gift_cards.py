"""Gift cards through the services, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from tortoise.connection import get_connection
from tortoise.exceptions import IntegrityError

from app.auth.gift_card import CodeKeys, new_code
from app.db import READER, WRITER
from app.domain.errors import (
    BalanceTooLarge,
    DomainError,
    ExpiryInPast,
    GiftCardInOtherCurrency,
    GiftCardNotUsable,
    GiftCardsOff,
    GiftCardUnknown,
    IdempotencyKeyReused,
    NotFound,
    WalletFrozen,
)
from app.domain.fraud import Guesser, GuessLimits
from app.domain.gift_card import normal_form, printed
from app.domain.money import AMOUNT_MAX_MINOR
from app.models.gift_card import GiftCard, GiftCardEntry
from app.services import gift_card as gift_cards
from app.services.fraud import keep_guesses
from app.services.gift_card import TooManyGuesses
from app.services.ledger import writer as writer_module
from app.services.ledger.writer import Writer
from app.services.liability import Liability, liabilities
from app.services.verification import Invariant, verify
from tests.auditor import digest, read_tables
from tests.gift_cards import (
    KEY,
    KEYS,
    MIRA,
    OLDER_KEY,
    TILL,
    customer,
    issue,
    look_up,
    open_redemption,
    redeem,
)
from tests.ledger import Clock, OneBatch, credit, freeze
from tests.orders import balance_of, lots_of
from tests.services.tampering import tamper


@pytest.fixture(autouse=True)
async def verified(writer: Writer, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """What every test leaves behind is verified, but what was tampered with."""
    yield
    if "tampering" not in request.fixturenames:
        report = await verify()
        assert report.faults == []
        assert report.is_clean


async def fingerprint() -> str:
    return digest(await read_tables())


async def everything_kept() -> str:
    """Whatever stands in any table, as text."""
    return str(await read_tables())


# --- issuing ------------------------------------------------------------------------------------------------


async def test_one_card(writer: Writer, clock: Clock) -> None:
    issued = await issue(writer)
    (card,), codes = issued.cards, issued.codes
    assert codes is not None
    assert printed(normal_form(codes[0]) or "") == codes[0]
    assert (card.status, card.balance_minor, card.last_characters) == ("ACTIVE", 2_500, codes[0][-4:])
    assert card.expires_at is not None
    assert (card.expires_at.year, card.expires_at.month) == (clock.now.year + 5, clock.now.month)
    assert (await look_up(codes[0])).id == card.id


async def test_a_thousand_cards(writer: Writer) -> None:
    issued = await issue(writer, count=1_000, label="Raffle", promotional=True)
    assert issued.codes is not None
    assert len({*issued.codes}) == len(issued.cards) == 1_000
    for place in (0, 1, 500, 999):
        assert (await look_up(issued.codes[place])).id == issued.cards[place].id
    assert len({card.batch for card in issued.cards}) == 1
    assert await liabilities() == [Liability("USD", "ANONYMOUS_GIFT_CARD", 2_500_000)]


async def test_a_list_of_cards(writer: Writer) -> None:
    text = "amount,label,expires_at\n10.00,Ada,2031-12-31\n20.00,,\n"
    issued = await issue(writer, csv=text, label="Staff party")
    assert [(card.initial_minor, card.label) for card in issued.cards] == [
        (1_000, "Ada"),
        (2_000, "Staff party"),
    ]


async def test_codes_are_shown_once_and_kept_nowhere(writer: Writer) -> None:
    first = await issue(writer, count=3, idempotency_key="k")
    before = await fingerprint()
    again = await issue(writer, count=3, idempotency_key="k")
    assert await fingerprint() == before
    assert (again.codes, again.replayed) == (None, True)
    assert [card.id for card in again.cards] == [card.id for card in first.cards]
    with pytest.raises(IdempotencyKeyReused):
        await issue(writer, count=4, idempotency_key="k")
    await open_redemption(writer)
    assert first.codes is not None
    await redeem(writer, "ada", first.codes[0])
    kept = await everything_kept()
    for code in first.codes:
        assert code not in kept
        assert (normal_form(code) or code) not in kept


@pytest.mark.parametrize("key", ["k", None])
async def test_codes_are_shown_although_the_answer_of_the_commit_was_lost(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The writer finds its own key when it tries again, and yet nobody has seen the codes."""
    transact = writer._transact
    done: list[Any] = []

    async def losing(commands: Any) -> Any:
        done.append(await transact(commands))
        if len(done) == 1:
            raise ConnectionResetError("after the commit, before its answer")
        return done[-1]

    monkeypatch.setattr(writer_module, "RETRY_DELAY_S", 0.001)
    monkeypatch.setattr(writer, "_transact", losing)
    issued = await issue(writer, count=3, idempotency_key=key)
    assert len(done) == 2
    assert issued.codes is not None
    assert not issued.replayed
    assert [(await look_up(code)).id for code in issued.codes] == [card.id for card in issued.cards]


async def test_without_a_key_there_are_no_gift_cards(writer: Writer) -> None:
    with pytest.raises(GiftCardsOff, match="COFFER_GIFT_CARD_KEYS"):
        await issue(writer, keys=CodeKeys([]))
    with pytest.raises(GiftCardsOff):
        await look_up(new_code(), keys=CodeKeys([]))


async def test_a_key_may_be_replaced(writer: Writer) -> None:
    old = await issue(writer, keys=CodeKeys([OLDER_KEY]))
    both = CodeKeys([KEY, OLDER_KEY])
    new = await issue(writer, keys=both)
    assert old.codes
    assert new.codes
    for issued in (old, new):
        assert issued.codes
        assert (await look_up(issued.codes[0], keys=both)).id == issued.cards[0].id
    assert (await look_up(new.codes[0])).id == new.cards[0].id
    with pytest.raises(GiftCardUnknown):
        await look_up(old.codes[0])
    assert "key of thirty" not in repr(both)


async def test_a_refused_request_leaves_nothing(writer: Writer, clock: Clock) -> None:
    before = await fingerprint()
    with pytest.raises(ExpiryInPast):
        await issue(writer, expires_at=clock.now - timedelta(days=1))
    assert await fingerprint() == before


# --- redeeming ----------------------------------------------------------------------------------------------


async def test_redeemed_by_a_customer_who_has_no_wallet_yet(writer: Writer) -> None:
    await open_redemption(writer)
    (code,) = (await issue(writer)).codes or ()
    done = await redeem(writer, "ada", code)
    assert (done.card.status, done.transaction.amount_minor, done.wallet.posted_minor) == (
        "REDEEMED",
        2_500,
        2_500,
    )
    assert await lots_of("ada") == [("GIFT_CARD", 2_500, 0)]
    assert await liabilities() == [Liability("USD", "GIFT_CARD", 2_500)]
    entry = await GiftCardEntry.get(transaction_id=done.transaction.id)
    assert (entry.amount_minor, entry.account, entry.actor_id) == (-2_500, "WALLETS", "ada")


async def test_the_same_request_again(writer: Writer) -> None:
    await open_redemption(writer)
    (code,) = (await issue(writer)).codes or ()
    first = await redeem(writer, "ada", code, key="k")
    before = await fingerprint()
    again = await redeem(writer, "ada", code, key="k")
    assert await fingerprint() == before
    assert (again.replayed, again.transaction.id) == (True, first.transaction.id)
    with pytest.raises(IdempotencyKeyReused):
        await redeem(writer, "ada", code, key="k", amount="25.00")
    with pytest.raises(GiftCardNotUsable):
        await redeem(writer, "ada", code, key="k2")
    assert await fingerprint() == before


async def test_in_parts(writer: Writer) -> None:
    await open_redemption(writer, gift_card_partial_redemption=True)
    (code,) = (await issue(writer)).codes or ()
    done = await redeem(writer, "ada", code, amount="10.00")
    assert (done.card.status, done.card.balance_minor) == ("ACTIVE", 1_500)
    await redeem(writer, "bob", code)
    assert (await balance_of("ada"), await balance_of("bob")) == ((1_000, 0), (1_500, 0))
    assert [entry.sequence for entry in await GiftCardEntry.all().order_by("sequence")] == [1, 2, 3, 4]


async def test_not_redeemed(writer: Writer) -> None:
    (code,) = (await issue(writer)).codes or ()
    with pytest.raises(GiftCardsOff):
        await redeem(writer, "ada", code)
    await open_redemption(writer)
    await writer.submit(credit("ada", 100))
    await writer.submit(freeze("ada"))
    (euro,) = (await issue(writer, currency="EUR")).codes or ()
    (asleep,) = (await issue(writer, active=False)).codes or ()
    before = await fingerprint()
    refusals: list[tuple[type[DomainError], str, str]] = [
        (WalletFrozen, "ada", code),
        (GiftCardInOtherCurrency, "bob", euro),
        (GiftCardUnknown, "bob", asleep),
        (GiftCardUnknown, "bob", new_code()),
        (GiftCardUnknown, "bob", "not a code at all"),
    ]
    for refusal, who, typed in refusals:
        with pytest.raises(refusal):
            await redeem(writer, who, typed)
    with pytest.raises(NotFound):
        await redeem(writer, "bob", code, by=customer("eve"))
    assert await fingerprint() == before
    await redeem(writer, "bob", code, by=TILL)


async def test_a_wallet_that_is_full(writer: Writer) -> None:
    await open_redemption(writer)
    for _ in range(9):
        await writer.submit(credit("ada", AMOUNT_MAX_MINOR))
    (code,) = (await issue(writer, amount="10000000000000.00")).codes or ()
    before = await fingerprint()
    with pytest.raises(BalanceTooLarge):
        await redeem(writer, "ada", code)
    assert await fingerprint() == before


async def test_two_in_one_batch(writer: Writer) -> None:
    """Both were looked up while the card was whole; the second sees what the first did."""
    await open_redemption(writer)
    (code,) = (await issue(writer)).codes or ()
    said: list[str] = []

    async def claim(who: str) -> None:
        try:
            await redeem(writer, who, code)
        except GiftCardNotUsable:
            said.append(f"{who} refused")
        else:
            said.append(f"{who} redeemed")

    async with OneBatch(writer) as batch:
        await batch.begin(claim("ada"))
        await batch.begin(claim("bob"))
    assert sorted(said) == ["ada redeemed", "bob refused"]
    assert [row["external_id"] for row in (await read_tables())["customers"]] == ["ada"]


# --- the clock ----------------------------------------------------------------------------------------------


async def test_what_is_over_becomes_breakage(writer: Writer, clock: Clock) -> None:
    soon = clock.now + timedelta(days=1)
    await issue(writer, expires_at=soon)
    await issue(writer, expires_at=soon, active=False)
    await issue(writer)
    assert await gift_cards.due(clock.now, 10) == []
    clock.move(days=2)
    due = [found.what for found in await gift_cards.due(clock.now, 10)]
    assert len(due) == 2
    await asyncio.gather(*(gift_cards.expire(writer, card_id) for card_id in [*due, *due]))
    assert await gift_cards.due(clock.now, 10) == []
    breakage = await GiftCardEntry.filter(account="BREAKAGE")
    assert [entry.amount_minor for entry in breakage] == [-2_500]
    assert sorted([card.status for card in await GiftCard.all()]) == ["ACTIVE", "EXPIRED", "EXPIRED"]
    assert await liabilities() == [Liability("USD", "ANONYMOUS_GIFT_CARD", 2_500)]


async def test_redeemed_value_expires_with_its_card(writer: Writer, clock: Clock) -> None:
    await open_redemption(writer)
    (code,) = (await issue(writer, expires_at=clock.now + timedelta(days=1))).codes or ()
    await redeem(writer, "ada", code)
    clock.move(days=2)
    assert await gift_cards.due(clock.now, 10) == []
    await writer.submit(credit("ada", 100))
    assert await balance_of("ada") == (100, 0)


# --- guessing -----------------------------------------------------------------------------------------------


async def test_guesses_are_limited_and_flagged(writer: Writer, clock: Clock) -> None:
    (asleep,) = (await issue(writer, active=False)).codes or ()
    (code,) = (await issue(writer)).codes or ()
    limits, eve = GuessLimits(5), Guesser(customer("eve").actor, None)

    async def guess(typed: str) -> str:
        try:
            await gift_cards.look_up(KEYS, limits, eve, typed, clock.now)
        except (GiftCardUnknown, TooManyGuesses) as error:
            return type(error).__name__
        return "found"

    assert [await guess(code) for _ in range(20)] == ["found"] * 20
    # Asking again and again for a card that is not sold yet is guessing too.
    assert [await guess(asleep) for _ in range(5)] == ["GiftCardUnknown"] * 5
    assert await guess(code) == await guess(new_code()) == "TooManyGuesses"
    assert await keep_guesses(writer, limits) == 1
    assert await keep_guesses(writer, limits) == 0
    (signal,) = (await read_tables())["signals"]
    assert (signal["kind"], signal["actor_id"], signal["count"]) == ("GIFT_CARD_GUESSING", "eve", 5)
    clock.move(minutes=13)
    assert await guess(code) == "found"


async def test_many_guesses_at_the_same_moment(writer: Writer, clock: Clock) -> None:
    limits, eve = GuessLimits(5), Guesser(customer("eve").actor, "203.0.113.7")
    found = await asyncio.gather(
        *(gift_cards.look_up(KEYS, limits, eve, new_code(), clock.now) for _ in range(100)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, GiftCardUnknown) for one in found) == 5
    assert sum(isinstance(one, TooManyGuesses) for one in found) == 95


# --- tampering ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tampering:
    """What somebody changed, and what verification must say of it."""

    name: str
    statement: str
    invariant: Invariant = Invariant.GIFT_CARD
    more: frozenset[Invariant] = frozenset()


ENTRY = "UPDATE gift_card_entries SET {} WHERE kind = '{}' AND card_id = (SELECT id FROM gift_cards WHERE label = '{}')"
CARD = "UPDATE gift_cards SET {} WHERE label = '{}'"
TAMPERINGS = [
    Tampering("card says more", CARD.format("balance_minor = balance_minor + 1", "part")),
    Tampering(
        "card is worth something again", CARD.format("status = 'ACTIVE', balance_minor = 2500", "whole")
    ),
    Tampering("card is active again", CARD.format("status = 'ACTIVE'", "whole")),
    Tampering("card was worth more", CARD.format("initial_minor = 9900", "part")),
    Tampering("card in another currency", CARD.format("currency = 'EUR'", "part")),
    Tampering("card was never activated", CARD.format("activated_at = NULL", "part")),
    Tampering(
        "card's head", CARD.format("head_hash = (SELECT hash FROM gift_card_entries LIMIT 1)", "stopped")
    ),
    Tampering("card's count", CARD.format("sequence = sequence + 1", "whole")),
    Tampering("card that can't be read", CARD.format("status = 'DREAMT'", "whole"), Invariant.CONTENT),
    Tampering("activated with more", ENTRY.format("amount_minor = 2600", "ACTIVATED", "part")),
    Tampering("somebody else did it", ENTRY.format("actor_id = 'eve'", "ACTIVATED", "whole")),
    Tampering("another time", ENTRY.format("created_at = '2020-01-01 00:00:00+00:00'", "ISSUED", "whole")),
    Tampering("given away, not sold", ENTRY.format("account = 'MARKETING'", "ACTIVATED", "whole")),
    Tampering(
        "redeemed for less",
        ENTRY.format("amount_minor = -2000, balance_after_minor = 500", "REDEEMED", "whole"),
    ),
    Tampering("why it was stopped", ENTRY.format("note = ''", "DISABLED", "stopped")),
    Tampering(
        "an entry gone",
        "DELETE FROM gift_card_entries WHERE kind = 'DISABLED'",
    ),
]


@pytest.fixture
async def cards(writer: Writer) -> None:
    """One card that was redeemed wholly, one in part, one that was stopped."""
    await open_redemption(writer, gift_card_partial_redemption=True)
    whole, part, stopped = [await issue(writer, label=label) for label in ("whole", "part", "stopped")]
    assert whole.codes
    assert part.codes
    await redeem(writer, "ada", whole.codes[0])
    await redeem(writer, "bob", part.codes[0], amount="10.00")
    await gift_cards.disable(
        writer, MIRA, stopped.cards[0].id, note="Stolen from the window", idempotency_key="stop"
    )
    assert (await verify()).is_clean


@pytest.mark.slow
@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda tampering: tampering.name.replace(" ", "-"))
async def test_tampering_is_found(cards: None, database_url: str, tampering: Tampering) -> None:
    await tamper(database_url, [tampering.statement])
    report = await verify()
    assert tampering.invariant in {fault.invariant for fault in report.faults}
    assert {fault.invariant for fault in report.faults} <= {Invariant.GIFT_CARD, tampering.invariant}
    assert any("gift card GC-" in fault.message for fault in report.faults)


@pytest.mark.slow
@pytest.mark.parametrize("tampering", ["gone"])
async def test_value_without_a_card_is_found(cards: None, database_url: str, tampering: str) -> None:
    """A transaction that took value of no card is a fault of its wallet, also when that wallet is verified alone."""
    whole = await GiftCard.get(label="whole")
    entry = await GiftCardEntry.get(card_id=whole.id, kind="REDEEMED").select_related("transaction")
    transaction = entry.transaction
    assert transaction is not None
    await tamper(database_url, [f"DELETE FROM gift_card_entries WHERE id = '{entry.id}'"])
    for report in (await verify(), await verify(wallet_id=transaction.wallet_id)):
        mine = [fault for fault in report.faults if fault.wallet_id == transaction.wallet_id]
        assert [(fault.invariant, fault.sequence) for fault in mine] == [(Invariant.GIFT_CARD, 1)]


async def test_the_database_refuses_to_change_a_history(cards: None) -> None:
    for statement in (
        "UPDATE gift_card_entries SET amount_minor = 1",
        "DELETE FROM gift_card_entries",
        "DELETE FROM gift_cards",
        "UPDATE gift_cards SET code_hash = 'x'",
    ):
        with pytest.raises(IntegrityError):
            await get_connection(WRITER).execute_query(statement)
    assert await get_connection(READER).execute_query_dict("SELECT 1 AS one FROM gift_cards LIMIT 1")
