"""Gift cards: codes that catch mistakes, histories that add up, and a redemption that has two sides."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain import gift_card as rules
from app.domain.access import Actor, ActorKind
from app.domain.bucket import Bucket
from app.domain.errors import (
    DomainError,
    ExpiryInPast,
    FieldInvalid,
    GiftCardInOtherCurrency,
    GiftCardNotPartial,
    GiftCardNotUsable,
    GiftCardsOff,
    GiftCardUnknown,
    InsufficientFunds,
    WalletFrozen,
)
from app.domain.fraud import GUESS_WINDOW, TYPO_COST, Guesser, GuessLimits
from app.domain.gift_card import (
    ALPHABET,
    CODE_BITS,
    CardCode,
    CardOrder,
    GiftCard,
    GiftCardAccount,
    GiftCardEntry,
    GiftCardEvent,
    GiftCardStatus,
    code_of,
    entry_hash,
    last_characters,
    later_by_months,
    normal_form,
    plain_form,
    printed,
    read_orders,
)
from app.domain.ledger import GENESIS_HASH, CounterAccount, TransactionKind, WalletStatus
from app.domain.money import currency_of
from tests.domain.book import STAFF, START, Book

USD = currency_of("USD")
ADA = Actor(ActorKind.CUSTOMER, "ada")
INACTIVE, ACTIVE, REDEEMED = GiftCardStatus.INACTIVE, GiftCardStatus.ACTIVE, GiftCardStatus.REDEEMED
DISABLED, EXPIRED = GiftCardStatus.DISABLED, GiftCardStatus.EXPIRED

chances = st.integers(0, 2**CODE_BITS - 1)
codes = chances.map(code_of)
places = st.integers(0, 19)


# --- codes --------------------------------------------------------------------------------------------------


def test_a_code_has_enough_chance_and_no_lookalikes() -> None:
    assert CODE_BITS >= 80
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert not set(ALPHABET) & set("ILOU")
    # What is kept of it leaves all but four characters, and the check ties one of those to the rest.
    assert CODE_BITS - 5 * 4 >= 75


@given(chances, chances)
def test_each_chance_has_a_code_of_its_own(one: int, other: int) -> None:
    assert (code_of(one) == code_of(other)) == (one == other)
    assert len(code_of(one)) == 20
    assert normal_form(code_of(one)) == code_of(one)


@pytest.mark.parametrize("chance", [-1, 2**CODE_BITS])
def test_no_code_of_another_size(chance: int) -> None:
    with pytest.raises(ValueError, match="95 bits"):
        code_of(chance)


@given(codes, places, st.sampled_from(ALPHABET))
def test_every_wrong_character_is_noticed(code: str, place: int, wrong: str) -> None:
    mistyped = code[:place] + wrong + code[place + 1 :]
    assert (normal_form(mistyped) is None) == (wrong != code[place])


def test_every_wrong_character_of_one_code_in_every_place() -> None:
    code = code_of(0x1234_5678_9ABC_DEF0_1234_567)
    for place in range(20):
        found = [letter for letter in ALPHABET if normal_form(code[:place] + letter + code[place + 1 :])]
        assert found == [code[place]]


@given(codes, places, places)
def test_characters_that_changed_places_are_noticed(code: str, one: int, other: int) -> None:
    """Neighbours, and any others too."""
    letters = list(code)
    letters[one], letters[other] = letters[other], letters[one]
    assert (normal_form("".join(letters)) is None) == (code[one] != code[other])


@given(codes, st.integers(0, 18), st.sampled_from(ALPHABET))
def test_a_doubled_character_that_became_another_one_is_noticed(code: str, place: int, wrong: str) -> None:
    data = code[:place] + code[place] * 2 + code[place + 2 :]
    if normal_form(data) is not None and wrong != code[place]:
        assert normal_form(data[:place] + wrong * 2 + data[place + 2 :]) is None


@given(codes, st.randoms(use_true_random=False))
def test_how_a_code_is_typed_does_not_matter(code: str, chance: Any) -> None:
    lookalikes = {"1": "1IiLl", "0": "0Oo"}
    typed = "".join(
        chance.choice(lookalikes.get(letter, letter + letter.lower())) + chance.choice(["", " ", "-", " – "])
        for letter in code
    )
    if len(typed) <= 64:
        assert normal_form(typed) == code
    assert normal_form(f" {printed(code).lower()} ") == code


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_code_or_none(typed: str) -> None:
    normal, plain = normal_form(typed), plain_form(typed)
    assert normal is None or (normal == plain and code_of(_chance_of(normal)) == normal)


def _chance_of(code: str) -> int:
    chance = 0
    for letter in code[:-1]:
        chance = chance << 5 | ALPHABET.index(letter)
    return chance


def test_a_code_is_printed_in_groups() -> None:
    assert printed(code_of(0)) == "0000-0000-0000-0000-0000"
    assert last_characters("0123456789ABCDEFGHJK") == "GHJK"


# --- lists --------------------------------------------------------------------------------------------------


def test_a_list_is_read() -> None:
    text = '\ufeffAmount, label ,expires_at,note\r\n25.00,"Ada, with love",2031-12-31,\r\n\r\n10,,,Raffle\r\n'
    assert read_orders(text, USD) == [
        CardOrder(2_500, datetime(2031, 12, 31, tzinfo=UTC), "Ada, with love", ""),
        CardOrder(1_000, None, "", "Raffle"),
    ]
    assert read_orders("amount\n500", currency_of("JPY")) == [CardOrder(500)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first line"),
        ("amount", "from 1 to 1000"),
        ("amount,amount\n1,1", "first line"),
        ("label\nx", "first line"),
        ("amount,colour\n1,red", "first line"),
        ("amount\n1\n2,3", "Line 3"),
        ("amount\n0", "Line 2"),
        ("amount\n1.001", "Line 2"),
        ("amount\n1e3", "Line 2"),
        ("amount,expires_at\n1,tomorrow", "Line 2"),
        ("amount,label\n1," + "x" * 101, "Line 2"),
        ("amount,label\n1,\u0007", "Line 2"),
        ('amount\n"1', "no CSV"),
        ("amount\n" + "1\n" * 1_001, "from 1 to 1000"),
        ("amount\n" + "1\n" * 300_000, "too long"),
    ],
)
def test_a_list_that_can_t_be_meant(text: str, told: str) -> None:
    with pytest.raises(FieldInvalid, match=told) as refused:
        read_orders(text, USD)
    assert refused.value.field == ("csv",)


@given(st.text(max_size=200))
def test_any_list_is_read_or_refused(text: str) -> None:
    try:
        orders = read_orders("amount,label\n" + text, USD)
    except FieldInvalid:
        return
    assert all(order.amount_minor > 0 for order in orders)


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2026-03-01", 60, "2031-03-01"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2099-01-31", 13, "2100-02-28"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-01-31", 11, "2026-12-31"),
    ],
)
def test_months_later(start: str, months: int, end: str) -> None:
    assert later_by_months(datetime.fromisoformat(start), months) == datetime.fromisoformat(end)


# --- a card's life ------------------------------------------------------------------------------------------


class Cards(Book):
    """A wallet, and cards that were issued beside it."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.settings = replace(self.settings, gift_cards_redeemable=True, **changes)
        self.entries: list[GiftCardEntry] = []

    def at_desk(self, decide: Callable[[Any], Any]) -> Any:
        """Decide, and keep the rows as the ledger does."""

        def keeping(draft: Any) -> Any:
            answer = decide(draft)
            for row in draft.rows:
                self.rows.put(row)
                if isinstance(row, GiftCardEntry):
                    self.entries.append(row)
            return answer

        return self.do(keeping)

    def issue(
        self, amount: int = 2_500, *, active: bool = True, currency: str = "USD", **order: Any
    ) -> GiftCard:
        """One card."""
        wanted = [(CardOrder(amount, **order), CardCode(f"{len(self.entries)}", "XA4P"))]
        cards = self.at_desk(
            lambda desk: rules.issue(desk, wanted, currency, GiftCardAccount.FUNDING, STAFF, active=active)
        )
        card: GiftCard = cards[0]
        return card

    def now_is(self, card: GiftCard) -> GiftCard:
        """The card as it is now."""
        found = self.rows[card.id]
        assert isinstance(found, GiftCard)
        return found

    def redeem(self, card: GiftCard, amount: int | None = None) -> GiftCardEntry:
        entry: GiftCardEntry = self.at_desk(lambda draft: rules.redeem(draft, self.now_is(card), amount, ADA))
        return entry

    def step(self, card: GiftCard, step: Callable[..., GiftCard]) -> GiftCard:
        changed: GiftCard = self.at_desk(lambda desk: step(desk, self.now_is(card), STAFF, "because"))
        return changed

    def life_of(self, card: GiftCard) -> list[GiftCardEntry]:
        return [entry for entry in self.entries if entry.card_id == card.id]


def test_liability_begins_with_the_activation() -> None:
    book = Cards()
    card = book.issue(active=False)
    assert (card.status, card.balance_minor, card.expires_at) == (INACTIVE, 0, None)
    card = book.step(card, rules.activate)
    assert (card.status, card.balance_minor, card.activated_by) == (ACTIVE, 2_500, STAFF)
    assert card.expires_at == later_by_months(START, 60)
    said = [(entry.kind, entry.amount_minor, entry.account) for entry in book.life_of(card)]
    assert said == [
        (GiftCardEvent.ISSUED, 0, None),
        (GiftCardEvent.ACTIVATED, 2_500, GiftCardAccount.FUNDING),
    ]


@pytest.mark.parametrize(
    ("months", "said", "expires"),
    [
        (60, None, later_by_months(START, 60)),
        (1, None, later_by_months(START, 1)),
        (0, None, None),
        (60, START + timedelta(days=7), START + timedelta(days=7)),
        (0, START + timedelta(days=7), START + timedelta(days=7)),
    ],
)
def test_when_a_card_expires(months: int, said: datetime | None, expires: datetime | None) -> None:
    assert Cards(gift_card_lifetime_months=months).issue(expires_at=said).expires_at == expires


def test_a_card_of_yesterday_is_not_issued() -> None:
    with pytest.raises(ExpiryInPast):
        Cards().issue(expires_at=START)


def test_redeeming_has_two_sides() -> None:
    book = Cards()
    card = book.issue()
    entry = book.redeem(card)
    (posted,) = book.history
    assert (posted.kind, posted.counter_account) == (TransactionKind.GIFT_CARD, CounterAccount.GIFT_CARDS)
    assert (posted.amount_minor, entry.amount_minor) == (2_500, -2_500)
    assert (entry.account, entry.transaction_id) == (GiftCardAccount.WALLETS, posted.id)
    (lot,) = book.state.lots
    assert (lot.bucket, lot.expires_at) == (Bucket.GIFT_CARD, card.expires_at)
    assert (book.now_is(card).status, book.now_is(card).balance_minor) == (REDEEMED, 0)
    with pytest.raises(GiftCardNotUsable, match="redeemed"):
        book.redeem(card)


def test_wholly_and_once_unless_the_store_allows_a_part() -> None:
    book = Cards()
    card = book.issue()
    with pytest.raises(GiftCardNotPartial, match=r"25\.00 USD"):
        book.redeem(card, 2_499)
    with pytest.raises(InsufficientFunds, match=r"25\.00 USD"):
        book.redeem(card, 2_501)
    book.settings = replace(book.settings, gift_card_partial_redemption=True)
    book.redeem(card, 1_000)
    assert (book.now_is(card).status, book.now_is(card).balance_minor) == (ACTIVE, 1_500)
    with pytest.raises(InsufficientFunds, match=r"15\.00 USD"):
        book.redeem(card, 1_501)
    book.redeem(card, 1_500)
    assert book.now_is(card).status is REDEEMED
    assert book.state.wallet.posted_minor == 2_500


def test_an_overdraft_is_settled_first() -> None:
    book = Cards(negative_balance_enabled=True, negative_balance_limit_minor=5_000)
    book.debit(1_000, limit=5_000)
    book.redeem(book.issue())
    assert (book.state.wallet.posted_minor, book.state.wallet.overdraft_minor) == (1_500, 0)


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("off", GiftCardsOff),
        ("inactive", GiftCardUnknown),
        ("stopped before its activation", GiftCardUnknown),
        ("stopped", GiftCardNotUsable),
        ("over, and the clock has not said so", GiftCardNotUsable),
        ("over", GiftCardNotUsable),
        ("euro", GiftCardInOtherCurrency),
        ("frozen", WalletFrozen),
    ],
)
def test_not_redeemed(name: str, refusal: type[DomainError]) -> None:
    book = Cards()
    card = book.issue(
        active=name not in {"inactive", "stopped before its activation"},
        currency="EUR" if name == "euro" else "USD",
        expires_at=START + timedelta(days=1),
    )
    if name == "off":
        book.settings = replace(book.settings, gift_cards_redeemable=False)
    if name.startswith("stopped"):
        book.step(card, rules.disable)
    if name.startswith("over"):
        book.now += timedelta(days=1)
    if name == "over":
        book.at_desk(lambda desk: rules.expire(desk, book.now_is(card)))
    if name == "frozen":
        book.do(lambda draft: draft.set_status(WalletStatus.FROZEN))
    before = (book.now_is(card), len(book.entries))
    with pytest.raises(refusal):
        book.redeem(card)
    assert (book.now_is(card), len(book.entries)) == before


STEPS: dict[str, Callable[..., GiftCard]] = {
    "activate": rules.activate,
    "disable": rules.disable,
    "enable": rules.enable,
}


@pytest.mark.parametrize(
    ("began", "step", "ended"),
    [
        (INACTIVE, "activate", ACTIVE),
        (INACTIVE, "disable", DISABLED),
        (INACTIVE, "enable", None),
        (ACTIVE, "activate", None),
        (ACTIVE, "disable", DISABLED),
        (ACTIVE, "enable", None),
        (REDEEMED, "activate", None),
        (REDEEMED, "disable", None),
        (REDEEMED, "enable", None),
        (DISABLED, "activate", None),
        (DISABLED, "disable", None),
        (DISABLED, "enable", ACTIVE),
        (EXPIRED, "activate", None),
        (EXPIRED, "disable", None),
        (EXPIRED, "enable", None),
    ],
)
def test_steps(began: GiftCardStatus, step: str, ended: GiftCardStatus | None) -> None:
    book = Cards()
    card = book.issue(active=began is not INACTIVE, expires_at=START + timedelta(days=1))
    if began is REDEEMED:
        book.redeem(card)
    if began is DISABLED:
        book.step(card, rules.disable)
    if began is EXPIRED:
        book.now += timedelta(days=1)
        book.at_desk(lambda desk: rules.expire(desk, book.now_is(card)))
    assert book.now_is(card).status is began
    if ended is None:
        with pytest.raises(GiftCardNotUsable):
            book.step(card, STEPS[step])
        assert book.now_is(card).status is began
    else:
        assert book.step(card, STEPS[step]).status is ended


def test_a_card_stopped_before_its_activation_is_inactive_again() -> None:
    book = Cards()
    card = book.issue(active=False)
    book.step(card, rules.disable)
    assert book.step(card, rules.enable).status is INACTIVE


@pytest.mark.parametrize("began", [INACTIVE, ACTIVE, DISABLED])
def test_what_is_left_becomes_breakage(began: GiftCardStatus) -> None:
    book = Cards()
    card = book.issue(active=began is not INACTIVE, expires_at=START + timedelta(days=1))
    if began is DISABLED:
        book.step(card, rules.disable)
    assert book.at_desk(lambda desk: rules.expire(desk, book.now_is(card))) is None
    book.now += timedelta(days=1)
    expired = book.at_desk(lambda desk: rules.expire(desk, book.now_is(card)))
    assert (expired.status, expired.balance_minor) == (EXPIRED, 0)
    last = book.life_of(card)[-1]
    owed = 0 if began is INACTIVE else 2_500
    assert (last.amount_minor, last.account) == (-owed, GiftCardAccount.BREAKAGE if owed else None)
    assert book.at_desk(lambda desk: rules.expire(desk, book.now_is(card))) is None


class Lives(RuleBasedStateMachine):
    """Whatever is done to a card in whatever order: its history adds up, and nothing is there twice."""

    @initialize(partial=st.booleans(), amount=st.integers(1, 5_000), days=st.integers(1, 5))
    def begins(self, partial: bool, amount: int, days: int) -> None:
        self.book = Cards(gift_card_partial_redemption=partial)
        self.card = self.book.issue(amount, active=False, expires_at=START + timedelta(days=days))

    @rule(step=st.sampled_from(sorted(STEPS)))
    def steps(self, step: str) -> None:
        self._tries(lambda: self.book.step(self.card, STEPS[step]))

    @rule(amount=st.none() | st.integers(1, 6_000))
    def redeems(self, amount: int | None) -> None:
        self._tries(lambda: self.book.redeem(self.card, amount))

    @precondition(lambda self: self.book.now < START + timedelta(days=7))
    @rule()
    def a_day_passes(self) -> None:
        self.book.now += timedelta(days=1)
        self.book.at_desk(lambda desk: rules.expire(desk, self.book.now_is(self.card)))

    def _tries(self, act: Callable[[], object]) -> None:
        before = (self.book.now_is(self.card), len(self.book.entries))
        try:
            act()
        except DomainError:
            assert (self.book.now_is(self.card), len(self.book.entries)) == before

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "book"):
            return
        card, balance, head = self.book.now_is(self.card), 0, GENESIS_HASH
        for place, entry in enumerate(self.book.life_of(self.card), 1):
            balance += entry.amount_minor
            assert entry.sequence == place
            assert entry.balance_after_minor == balance >= 0
            assert entry.hash == entry_hash(head, entry)
            assert (entry.account is None) == (entry.amount_minor == 0)
            head = entry.hash
        assert (card.balance_minor, card.head_hash) == (balance, head)
        moved = sum(
            entry.amount_minor
            for entry in self.book.life_of(self.card)
            if entry.account is GiftCardAccount.WALLETS
        )
        in_wallet = sum(
            one.amount_minor for one in self.book.history if one.kind is TransactionKind.GIFT_CARD
        )
        assert in_wallet == -moved <= card.initial_minor
        assert (card.status is ACTIVE) <= (card.balance_minor > 0)
        assert card.status in {ACTIVE, DISABLED} or card.balance_minor == 0


TestLives = Lives.TestCase
TestLives.settings = hypothesis_settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_every_part_of_an_entry_is_under_its_hash() -> None:
    book = Cards()
    card = book.issue()
    entry = book.life_of(card)[-1]
    changes: dict[str, Any] = {
        "id": card.id,
        "card_id": entry.id,
        "sequence": 7,
        "kind": GiftCardEvent.REDEEMED,
        "amount_minor": 1,
        "balance_after_minor": 1,
        "currency": "EUR",
        "account": GiftCardAccount.MARKETING,
        "transaction_id": card.id,
        "actor": ADA,
        "note": "x",
        "created_at": START + timedelta(microseconds=1),
    }
    assert set(changes) == set(GiftCardEntry.__slots__) - {"hash"}
    hashes = {entry_hash(GENESIS_HASH, replace(entry, **{name: value})) for name, value in changes.items()}
    assert len(hashes | {entry_hash(GENESIS_HASH, entry), entry_hash(entry.hash, entry)}) == len(changes) + 2


# --- guessing -----------------------------------------------------------------------------------------------

EVE = Guesser(Actor(ActorKind.CUSTOMER, "eve"), "203.0.113.7")
BOB = Guesser(Actor(ActorKind.CUSTOMER, "bob"), "203.0.113.8")
NOBODY = Guesser(None, "203.0.113.9")
TILL = Guesser(Actor(ActorKind.SERVICE, "till"), "198.51.100.1", trusted=True)


def guess(limits: GuessLimits, who: Guesser, now: datetime = START, *, cost: float = 1.0) -> bool:
    """Guess once; tell whether it was let through."""
    if limits.pay(who, now):
        return False
    limits.settle(who, cost, now)
    return True


@pytest.mark.parametrize(("who", "most"), [(EVE, 10), (NOBODY, 50), (TILL, 500)])
def test_so_many_wrong_codes_and_no_more(who: Guesser, most: int) -> None:
    limits = GuessLimits(10)
    assert [guess(limits, who) for _ in range(most + 2)] == [True] * most + [False] * 2
    wait_s = limits.pay(who, START)
    assert 0 < wait_s <= GUESS_WINDOW.total_seconds() / most + 1
    assert guess(limits, who, START + timedelta(seconds=wait_s))
    assert guess(limits, BOB)


def test_right_codes_cost_nothing_and_mistypes_little() -> None:
    limits = GuessLimits(10)
    assert all(guess(limits, EVE, cost=0) for _ in range(1_000))
    assert limits.noticed == {}
    tried = [guess(limits, EVE, cost=TYPO_COST) for _ in range(60)]
    assert tried[:46] == [True] * 46
    assert tried[-1] is False


def test_a_thousand_at_once_pay_before_they_are_looked_up() -> None:
    limits = GuessLimits(10)
    assert sum(limits.pay(EVE, START) == 0 for _ in range(1_000)) == 10


def test_all_callers_together() -> None:
    limits = GuessLimits(1)
    strangers = [Guesser(Actor(ActorKind.CUSTOMER, f"{n}"), f"10.0.{n}.1") for n in range(150)]
    assert sum(guess(limits, stranger) for stranger in strangers) == 100
    assert guess(limits, TILL), "the store's own till is not held up by strangers"
    assert Actor(ActorKind.SYSTEM, "all callers") in limits.noticed


def test_whoever_guesses_is_flagged_once_in_a_while() -> None:
    limits = GuessLimits(10)
    for _ in range(9):
        guess(limits, EVE)
    assert limits.noticed == {}
    guess(limits, EVE)
    assert [(one.actor, one.count) for one in limits.noticed.values()] == [(EVE.actor, 10)]
    limits.noticed = {}
    for _ in range(100):
        guess(limits, EVE)
    assert EVE.actor not in limits.noticed
    for _ in range(20):
        guess(limits, EVE, START + GUESS_WINDOW * 1.2)
    assert EVE.actor in limits.noticed


def test_memory_is_bounded() -> None:
    limits = GuessLimits(10, places_max=50)
    for number in range(1_000):
        guess(limits, Guesser(Actor(ActorKind.CUSTOMER, f"{number}"), None))
    assert len(limits._places) == 50
