"""Gift cards: value on a card that nobody owns yet, and what happens to it.

A card is *anonymous*: whoever has its code has its value. What the store owes for such cards is a liability of its
own, apart from the wallets', and it begins when a card is activated. Each card has its own history, an entry for each
thing that happened, chained by hashes as a wallet's transactions are. Every entry that moves value names the account
on its other side, so that all cards and their accounts add up to zero.

The code itself is never here: a card carries its keyed hash and its last four characters. `code_of` and
`normal_form` know how codes look; whoever makes one brings the chance for it.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from app.domain.access import Actor
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
from app.domain.ledger import (
    GENESIS_HASH,
    SYSTEM,
    Desk,
    Draft,
    Explanation,
    Transaction,
    TransactionKind,
    WalletStatus,
)
from app.domain.money import Currency, currency_of, parse_amount
from app.domain.note import check_text

# --- codes --------------------------------------------------------------------------------------------------

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U. A character stands for an element of the field of 32 elements."""

CODE_BITS = 95
"""The chance in a code: 19 characters of 5 bits. The twentieth is the check character."""

LAST = 4
"""Characters of a code that are kept as they are. They leave 75 bits that nobody can know."""

_DATA = CODE_BITS // 5
_GROUP = 4
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_LOOKALIKES = str.maketrans("ILO", "110")
_SEPARATORS = str.maketrans("", "", " -‐‑–—_.\u00a0")  # noqa: RUF001 — what people and their keyboards put between
_TYPED_MAX = 64
_POLYNOMIAL = 0b100101
"""x^5 + x^2 + 1, which is primitive: x takes on all 31 elements but zero before it is 1 again."""


def code_of(chance: int) -> str:
    """Return the code that stands for so many bits of chance, in normal form: 19 characters and their check."""
    if not 0 <= chance < 1 << CODE_BITS:
        raise ValueError(f"a code has {CODE_BITS} bits of chance")
    data = "".join(ALPHABET[chance >> shift & 31] for shift in range(CODE_BITS - 5, -5, -5))
    return data + ALPHABET[_times_x(_remainder(data))]


def _remainder(text: str) -> int:
    """Damm's scheme with the quasigroup a ∘ b = xa + b over GF(32).

    The text is a polynomial and this its value at x. A whole code has the value 0. A wrong character changes it, since
    no power of x is 0; two characters that changed places do so too, neighbours or not, since the powers of x at 31
    places in a row are all different.
    """
    remainder = 0
    for character in text:
        remainder = _times_x(remainder) ^ _VALUES[character]
    return remainder


def _times_x(element: int) -> int:
    doubled = element << 1
    return doubled ^ _POLYNOMIAL if doubled & 32 else doubled


def plain_form(typed: str) -> str | None:
    """Return what was typed without blanks and dashes, in capitals, look-alikes put right; `None` if it is no code.

    The check character may still be wrong.
    """
    if len(typed) > _TYPED_MAX:
        return None
    plain = typed.translate(_SEPARATORS).upper().translate(_LOOKALIKES)
    return plain if len(plain) == _DATA + 1 and all(character in _VALUES for character in plain) else None


def normal_form(typed: str) -> str | None:
    """Return the code in normal form, or `None` when it can't be one: what is hashed and looked up."""
    plain = plain_form(typed)
    return plain if plain is not None and _remainder(plain) == 0 else None


def printed(code: str) -> str:
    """Return a code as it is printed, in groups of four."""
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def last_characters(code: str) -> str:
    """Return the last four characters, by which a customer and staff can speak of a card."""
    return code[-LAST:]


# --- records ------------------------------------------------------------------------------------------------


class GiftCardStatus(StrEnum):
    """How a gift card stands."""

    INACTIVE = "INACTIVE"
    """It was made, and is worth nothing until it is activated, as when it is sold."""
    ACTIVE = "ACTIVE"
    """Whoever has its code can use it."""
    REDEEMED = "REDEEMED"
    """All of its value is in wallets."""
    DISABLED = "DISABLED"
    """Staff stopped it; it keeps its value and can be enabled again."""
    EXPIRED = "EXPIRED"
    """Its time ran out, and what was left was posted as breakage."""


class GiftCardEvent(StrEnum):
    """What happened to a gift card."""

    ISSUED = "ISSUED"
    """It was made."""
    ACTIVATED = "ACTIVATED"
    """It got its value: from here on the store owes it."""
    REDEEMED = "REDEEMED"
    """Value moved into a wallet."""
    DISABLED = "DISABLED"
    """Staff stopped it."""
    ENABLED = "ENABLED"
    """Staff let it go again."""
    EXPIRED = "EXPIRED"
    """Its time ran out; what was left is breakage."""


class GiftCardAccount(StrEnum):
    """The account on the other side of what happened to a gift card."""

    FUNDING = "FUNDING"
    """Somebody paid for the card."""
    MARKETING = "MARKETING"
    """The store gave the card away."""
    WALLETS = "WALLETS"
    """Wallets; the other side of it is the account GIFT_CARDS of a wallet's transaction."""
    BREAKAGE = "BREAKAGE"
    """Value that expired."""


@dataclass(frozen=True, slots=True)
class GiftCard:
    """A card as it is kept; amounts in minor units of its own currency.

    `balance_minor` is what the store owes for it now: nothing before it is activated.
    """

    id: UUID
    reference: str
    code_hash: str
    last_characters: str
    currency: str
    initial_minor: int
    balance_minor: int
    status: GiftCardStatus
    funded_by: GiftCardAccount
    batch_id: UUID
    label: str
    note: str
    expires_at: datetime | None
    """When its value ends; until it is activated only what was said when it was issued."""
    sequence: int
    head_hash: bytes
    created_by: Actor
    created_at: datetime
    updated_at: datetime
    activated_at: datetime | None = None
    activated_by: Actor | None = None

    def is_over(self, now: datetime) -> bool:
        """Tell whether its time has run out, also before the clock has said so."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class GiftCardEntry:
    """One thing that happened to a card; `amount_minor` is signed, `hash` chains it to the one before."""

    id: UUID
    card_id: UUID
    sequence: int
    kind: GiftCardEvent
    amount_minor: int
    balance_after_minor: int
    currency: str
    account: GiftCardAccount | None
    """The other side; none where no value moved."""
    transaction_id: UUID | None
    """The wallet's transaction on the other side."""
    actor: Actor
    note: str
    created_at: datetime
    hash: bytes = b""


def entry_hash(previous_hash: bytes, entry: GiftCardEntry) -> bytes:
    """Return the SHA-256 over the hash before and the entry's content, each field as a netstring."""
    e = entry
    parts = (
        str(e.card_id),
        str(e.sequence),
        str(e.id),
        e.kind,
        str(e.amount_minor),
        str(e.balance_after_minor),
        e.currency,
        e.account or "",
        str(e.transaction_id or ""),
        e.actor.kind,
        e.actor.id,
        e.note,
        e.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
    )
    digest = sha256(previous_hash)
    for part in parts:
        content = part.encode()
        digest.update(b"%d:%b," % (len(content), content))
    return digest.digest()


# --- issuing ------------------------------------------------------------------------------------------------

CARDS_MAX = 1_000
"""Cards that one request issues at most."""

CSV_MAX = 500_000
"""Characters that a list of cards may have."""

LABEL_MAX = 100

_COLUMNS = ("amount", "expires_at", "label", "note")


@dataclass(frozen=True, slots=True)
class CardOrder:
    """What one card shall be."""

    amount_minor: int
    expires_at: datetime | None = None
    label: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class CardCode:
    """What is kept of a new code."""

    hash: str
    last_characters: str


def read_orders(text: str, currency: Currency) -> list[CardOrder]:
    """Read a list of cards: CSV with a line of names (`amount`, and perhaps `expires_at`, `label`, `note`).

    Raises `FieldInvalid`, or the refusal of an amount; each says in which line.
    """
    if len(text) > CSV_MAX:
        raise FieldInvalid(
            f"The list is too long: at most {CSV_MAX} characters. Send it in parts.", field=("csv",)
        )
    try:
        # Parted at line feeds only: what else a cell may hold stays in it.
        parts = (f"{line}\n" for line in text.removeprefix("\ufeff").split("\n"))
        lines = list(csv.reader(parts, strict=True))
    except csv.Error:
        raise FieldInvalid("This is no CSV. Check its quotes and commas.", field=("csv",)) from None
    names = [name.strip().lower() for name in lines[0]] if lines else []
    if "amount" not in names or len(set(names)) < len(names) or not set(names) <= set(_COLUMNS):
        raise FieldInvalid(
            f"The first line names the columns. Give amount and, if you like, {', '.join(_COLUMNS[1:])}.",
            field=("csv",),
        )
    rows = [(number, row) for number, row in enumerate(lines[1:], 2) if any(cell.strip() for cell in row)]
    if not 1 <= len(rows) <= CARDS_MAX:
        raise FieldInvalid(f"Give from 1 to {CARDS_MAX} cards, each on a line of its own.", field=("csv",))
    return [_read_order(number, names, row, currency) for number, row in rows]


def _read_order(number: int, names: Sequence[str], row: Sequence[str], currency: Currency) -> CardOrder:
    if len(row) != len(names):
        raise FieldInvalid(
            f"Line {number} has {len(row)} cells, and the first line {len(names)}. Check it.", field=("csv",)
        )
    cells = dict(zip(names, (cell.strip() for cell in row), strict=True))
    try:
        return CardOrder(
            parse_amount(cells["amount"], currency, field=("csv",)),
            _read_time(cells.get("expires_at", "")),
            check_text(cells.get("label", ""), field="csv", length_max=LABEL_MAX),
            check_text(cells.get("note", ""), field="csv", length_max=1000),
        )
    except DomainError as error:
        raise FieldInvalid(f"Line {number}: {error.message}", field=("csv",)) from None


def _read_time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise FieldInvalid(
            "This is no date. Give one such as 2031-12-31, or a time with its zone.", field=("csv",)
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def later_by_months(time: datetime, months: int) -> datetime:
    """Return the same day so many months later, or the last one of a month that is too short."""
    month = time.month - 1 + months
    year, month = time.year + month // 12, month % 12 + 1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
    return time.replace(year=year, month=month, day=min(time.day, days))


def issue(
    desk: Desk,
    orders: Sequence[tuple[CardOrder, CardCode]],
    currency: str,
    funded_by: GiftCardAccount,
    actor: Actor,
    *,
    active: bool,
) -> list[GiftCard]:
    """Make cards that belong together, active at once or not. Raises `ExpiryInPast`."""
    batch_id, cards = desk.mint.id(), []
    for order, code in orders:
        if order.expires_at is not None and order.expires_at <= desk.now:
            raise ExpiryInPast
        card = GiftCard(
            id=desk.mint.id(),
            reference=desk.mint.reference("GC"),
            code_hash=code.hash,
            last_characters=code.last_characters,
            currency=currency,
            initial_minor=order.amount_minor,
            balance_minor=0,
            status=GiftCardStatus.INACTIVE,
            funded_by=funded_by,
            batch_id=batch_id,
            label=order.label,
            note=order.note,
            expires_at=order.expires_at,
            sequence=0,
            head_hash=GENESIS_HASH,
            created_by=actor,
            created_at=desk.now,
            updated_at=desk.now,
        )
        card, _ = _enter(desk, card, GiftCardEvent.ISSUED, actor, order.note)
        cards.append(_activated(desk, card, actor, "") if active else card)
    for card in cards:
        desk.add(card)
    return cards


# --- what happens to a card ---------------------------------------------------------------------------------


def activate(desk: Desk, card: GiftCard, actor: Actor, note: str) -> GiftCard:
    """Give a card its value. Raises `GiftCardNotUsable`."""
    if card.status is not GiftCardStatus.INACTIVE:
        raise GiftCardNotUsable(card.status, field=("giftCardId",))
    if card.is_over(desk.now):
        raise GiftCardNotUsable(GiftCardStatus.EXPIRED, field=("giftCardId",))
    card = _activated(desk, card, actor, note)
    desk.add(card)
    return card


def _activated(desk: Desk, card: GiftCard, actor: Actor, note: str) -> GiftCard:
    expires_at, months = card.expires_at, desk.settings.gift_card_lifetime_months
    if expires_at is None and months:
        expires_at = later_by_months(desk.now, months)
    card = replace(
        card,
        status=GiftCardStatus.ACTIVE,
        expires_at=expires_at,
        activated_at=desk.now,
        activated_by=actor,
    )
    card, _ = _enter(
        desk,
        card,
        GiftCardEvent.ACTIVATED,
        actor,
        note,
        amount_minor=card.initial_minor,
        account=card.funded_by,
    )
    return card


def disable(desk: Desk, card: GiftCard, actor: Actor, note: str) -> GiftCard:
    """Stop a card; it keeps its value. Raises `GiftCardNotUsable`."""
    if card.status not in {GiftCardStatus.INACTIVE, GiftCardStatus.ACTIVE}:
        raise GiftCardNotUsable(card.status, field=("giftCardId",))
    card, _ = _enter(desk, replace(card, status=GiftCardStatus.DISABLED), GiftCardEvent.DISABLED, actor, note)
    desk.add(card)
    return card


def enable(desk: Desk, card: GiftCard, actor: Actor, note: str) -> GiftCard:
    """Let a stopped card go again: active if it was activated before. Raises `GiftCardNotUsable`."""
    if card.status is not GiftCardStatus.DISABLED:
        raise GiftCardNotUsable(card.status, field=("giftCardId",))
    status = GiftCardStatus.INACTIVE if card.activated_at is None else GiftCardStatus.ACTIVE
    card, _ = _enter(desk, replace(card, status=status), GiftCardEvent.ENABLED, actor, note)
    desk.add(card)
    return card


def expire(desk: Desk, card: GiftCard) -> GiftCard | None:
    """Post what is left of a card whose time has run out as breakage; nothing where it ended otherwise meanwhile."""
    if card.status in {GiftCardStatus.REDEEMED, GiftCardStatus.EXPIRED} or not card.is_over(desk.now):
        return None
    left_minor = card.balance_minor
    card, _ = _enter(
        desk,
        replace(card, status=GiftCardStatus.EXPIRED),
        GiftCardEvent.EXPIRED,
        SYSTEM,
        "",
        amount_minor=-left_minor,
        account=GiftCardAccount.BREAKAGE if left_minor else None,
    )
    desk.add(card)
    return card


def redeem(draft: Draft, card: GiftCard, amount_minor: int | None, actor: Actor) -> GiftCardEntry:
    """Move a card's value into the wallet: all of it or, where the store allows it, a part.

    Two sides are posted: the wallet's credit against `GIFT_CARDS`, and the card's entry against `WALLETS`. The value
    expires in the wallet when it would have on the card. Raises `GiftCardsOff`, `GiftCardUnknown`,
    `GiftCardNotUsable`, `GiftCardInOtherCurrency`, `WalletFrozen`, `InsufficientFunds` or `GiftCardNotPartial`.
    """
    if not draft.settings.gift_cards_redeemable:
        raise GiftCardsOff
    require_usable(card, draft.now)
    if card.currency != draft.wallet.currency:
        raise GiftCardInOtherCurrency(card=card.currency, wallet=draft.wallet.currency)
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    moved_minor = card.balance_minor if amount_minor is None else amount_minor
    if moved_minor > card.balance_minor:
        there = currency_of(card.currency).display(card.balance_minor)
        raise InsufficientFunds(available_minor=card.balance_minor, available=there)
    if moved_minor < card.balance_minor and not draft.settings.gift_card_partial_redemption:
        raise GiftCardNotPartial(currency_of(card.currency).display(card.balance_minor))
    explanation = Explanation(
        TransactionKind.GIFT_CARD, actor, f"Gift card ending {card.last_characters} redeemed"
    )
    posted = draft.credit(moved_minor, explanation, bucket=Bucket.GIFT_CARD, expires_at=card.expires_at)
    return _redeemed(draft, card, posted)


def require_usable(card: GiftCard, now: datetime) -> None:
    """Refuse a card that is not active. One that never was answers as if it were not there.

    Whoever copied the codes of cards in a shop's window could else ask until somebody buys one.
    """
    if card.activated_at is None:
        raise GiftCardUnknown
    if card.is_over(now) and card.status is not GiftCardStatus.REDEEMED:
        raise GiftCardNotUsable(GiftCardStatus.EXPIRED)
    if card.status is not GiftCardStatus.ACTIVE:
        raise GiftCardNotUsable(card.status)


def _redeemed(draft: Draft, card: GiftCard, posted: Transaction) -> GiftCardEntry:
    left_minor = card.balance_minor - posted.amount_minor
    status = card.status if left_minor else GiftCardStatus.REDEEMED
    card, entry = _enter(
        draft,
        replace(card, status=status),
        GiftCardEvent.REDEEMED,
        posted.actor,
        "",
        amount_minor=-posted.amount_minor,
        account=GiftCardAccount.WALLETS,
        transaction_id=posted.id,
    )
    draft.add(card)
    return entry


def _enter(
    desk: Desk,
    card: GiftCard,
    kind: GiftCardEvent,
    actor: Actor,
    note: str,
    *,
    amount_minor: int = 0,
    account: GiftCardAccount | None = None,
    transaction_id: UUID | None = None,
) -> tuple[GiftCard, GiftCardEntry]:
    """Write down what happened; the caller adds the card, once it is as it shall be."""
    balance_minor = card.balance_minor + amount_minor
    if balance_minor < 0 or (account is None) != (amount_minor == 0):
        raise AssertionError(f"{kind} of {amount_minor} against {account} leaves {balance_minor}")
    entry = GiftCardEntry(
        id=desk.mint.id(),
        card_id=card.id,
        sequence=card.sequence + 1,
        kind=kind,
        amount_minor=amount_minor,
        balance_after_minor=balance_minor,
        currency=card.currency,
        account=account,
        transaction_id=transaction_id,
        actor=actor,
        note=note,
        created_at=desk.now,
    )
    entry = replace(entry, hash=entry_hash(card.head_hash, entry))
    desk.add(entry)
    card = replace(
        card,
        balance_minor=balance_minor,
        sequence=entry.sequence,
        head_hash=entry.hash,
        updated_at=desk.now,
    )
    return card, entry
