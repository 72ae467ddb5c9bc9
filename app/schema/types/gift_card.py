"""Gift cards: as staff see them with their history, and as whoever has a code sees what is on it."""

from datetime import datetime
from uuid import UUID

import strawberry

from app.context import AppInfo
from app.domain.errors import FieldInvalid
from app.domain.page import PageRequest
from app.models.gift_card import GiftCard as GiftCardModel, GiftCardEntry as GiftCardEntryModel
from app.schema.types.connection import After, Before, Connection, First, Last, connection
from app.schema.types.enums import Capability, GiftCardAccount, GiftCardEvent, GiftCardStatus
from app.schema.types.filters import texts
from app.schema.types.money import Money, money
from app.schema.types.node import ID_DESCRIPTION, Node, encode_id
from app.schema.types.ownership import sees
from app.schema.types.refusal import telling
from app.schema.types.scalars import BigInt, CurrencyCode, DateTime
from app.schema.types.time import TimeRange
from app.schema.types.transaction import Actor, Transaction, actor
from app.services.gift_card import GiftCardFilter as Filter

REFERENCE = "The reference number that people can read out, such as GC-7K3M-92QD-XA4P; it is not the code."
LAST_CHARACTERS = "The last four characters of the code, by which the card can be spoken of."


@strawberry.type(description="One thing that happened to a gift card.")
class GiftCardEntry:
    """An entry of a card's history."""

    model: strawberry.Private[GiftCardEntryModel]

    @strawberry.field(description="Its place in the card's history: 1, 2, 3 … without a gap.")
    def sequence(self) -> BigInt:
        """Return the number."""
        return BigInt(self.model.sequence)

    @strawberry.field(description="What happened.")
    def kind(self) -> GiftCardEvent:
        """Return the kind."""
        return GiftCardEvent(self.model.kind)

    @strawberry.field(
        description="How much moved: onto the card by its activation, off it otherwise; zero where nothing moved."
    )
    def amount(self) -> Money:
        """Return the amount."""
        return money(abs(self.model.amount_minor), self.model.currency)

    @strawberry.field(description="What was on the card then.")
    def balance_after(self) -> Money:
        """Return the balance."""
        return money(self.model.balance_after_minor, self.model.currency)

    @strawberry.field(description="Where the value came from or went to; null where nothing moved.")
    def account(self) -> GiftCardAccount | None:
        """Return the account."""
        return GiftCardAccount(self.model.account) if self.model.account else None

    @strawberry.field(description="Who did it.")
    def actor(self, info: AppInfo) -> Actor:
        """Return who did it."""
        return actor(info, self.model.actor_kind, self.model.actor_id)

    @strawberry.field(description="Why, if anybody said.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(description="When it happened.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(
        description="The SHA-256 (hex) over this entry and the hash of the one before, so that changes can be noticed."
    )
    def hash(self) -> str:
        """Return the hash."""
        return bytes(self.model.hash).hex()

    @strawberry.field(
        description="The wallet's transaction on the other side; null for those who may not see the wallet."
    )
    async def transaction(self, info: AppInfo) -> Transaction | None:
        """Load the transaction."""
        if self.model.transaction_id is None:
            return None
        row = await info.context.loaders.transactions.load(self.model.transaction_id)
        if row is None or not await sees(info, Capability.WALLETS_READ, row.wallet_id):
            return None
        return Transaction(model=row)


@strawberry.type(description="A gift card, as staff see it. Its code is kept nowhere.")
class GiftCard(Node):
    """A gift card."""

    model: strawberry.Private[GiftCardModel]

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self) -> strawberry.ID:
        """Return the global id."""
        return encode_id("GiftCard", self.model.id)

    @strawberry.field(description=REFERENCE)
    def reference(self) -> str:
        """Return the reference number."""
        return self.model.reference

    @strawberry.field(description=LAST_CHARACTERS)
    def last_characters(self) -> str:
        """Return the characters."""
        return self.model.last_characters

    @strawberry.field(description="How it stands.")
    def status(self) -> GiftCardStatus:
        """Return the status."""
        return GiftCardStatus(self.model.status)

    @strawberry.field(description="What it was issued for.")
    def initial_amount(self) -> Money:
        """Return the amount."""
        return money(self.model.initial_minor, self.model.currency)

    @strawberry.field(description="What the store owes for it now; zero until it is activated.")
    def balance(self) -> Money:
        """Return the balance."""
        return money(self.model.balance_minor, self.model.currency)

    @strawberry.field(
        description="Whether somebody pays for it (FUNDING) or the store gives it away (MARKETING)."
    )
    def funded_by(self) -> GiftCardAccount:
        """Return the account."""
        return GiftCardAccount(self.model.funded_by)

    @strawberry.field(
        description="What the cards have in common that were issued by the same request; opaque."
    )
    def batch_id(self) -> str:
        """Return the batch."""
        return str(self.model.batch)

    @strawberry.field(description="What staff find it by, such as a campaign or the recipient.")
    def label(self) -> str:
        """Return the label."""
        return self.model.label

    @strawberry.field(description="What it was made for.")
    def note(self) -> str:
        """Return the note."""
        return self.model.note

    @strawberry.field(
        description="When its value ends; null when that never happens, or is counted from an activation to come."
    )
    def expires_at(self) -> DateTime | None:
        """Return the time."""
        return _time(self.model.expires_at)

    @strawberry.field(description="Who issued it.")
    def created_by(self, info: AppInfo) -> Actor:
        """Return who issued it."""
        return actor(info, self.model.created_by_kind, self.model.created_by_id)

    @strawberry.field(description="When it was issued.")
    def created_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.created_at)

    @strawberry.field(description="Who activated it.")
    def activated_by(self, info: AppInfo) -> Actor | None:
        """Return who activated it."""
        kind, actor_id = self.model.activated_by_kind, self.model.activated_by_id
        return None if kind is None or actor_id is None else actor(info, kind, actor_id)

    @strawberry.field(description="When it was activated.")
    def activated_at(self) -> DateTime | None:
        """Return the time."""
        return _time(self.model.activated_at)

    @strawberry.field(description="When something last happened to it.")
    def updated_at(self) -> DateTime:
        """Return the time."""
        return DateTime(self.model.updated_at)

    @strawberry.field(description="What happened to it, oldest first.", extensions=[telling()])
    async def history(
        self,
        info: AppInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[GiftCardEntry]:
        """Load a page of the history."""
        context, card_id = info.context, self.model.id
        request = PageRequest(first, after, last, before)
        page = await context.gift_card_histories.load((card_id, None, request))
        return connection(
            page,
            lambda row: GiftCardEntry(model=row),
            lambda: context.gift_card_history_counts.load((card_id, None)),
        )


@strawberry.type(description="What is on a gift card, for whoever has its code.")
class GiftCardBalance:
    """What a code's holder may know."""

    reference: str = strawberry.field(description=REFERENCE)
    last_characters: str = strawberry.field(description=LAST_CHARACTERS)
    status: GiftCardStatus = strawberry.field(description="How it stands; only ACTIVE ones can be used.")
    initial_amount: Money = strawberry.field(description="What it was issued for.")
    balance: Money = strawberry.field(description="What is on it.")
    expires_at: DateTime | None = strawberry.field(
        description="When its value ends; null when that never happens."
    )


def gift_card_balance(model: GiftCardModel, now: datetime) -> GiftCardBalance:
    """Return what is on a card now, also before the clock has posted that its time ran out."""
    status, balance_minor = GiftCardStatus(model.status), model.balance_minor
    if balance_minor and model.expires_at is not None and model.expires_at <= now:
        status, balance_minor = GiftCardStatus.EXPIRED, 0
    return GiftCardBalance(
        reference=model.reference,
        last_characters=model.last_characters,
        status=status,
        initial_amount=money(model.initial_minor, model.currency),
        balance=money(balance_minor, model.currency),
        expires_at=_time(model.expires_at),
    )


def _time(time: datetime | None) -> DateTime | None:
    return None if time is None else DateTime(time)


@strawberry.input(one_of=True, description="Names a gift card by exactly one of these.")
class GiftCardSelector:
    """Id or reference."""

    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Its id.")
    reference: str | None = strawberry.field(
        default=strawberry.UNSET, description="Its reference number, such as GC-7K3M-92QD-XA4P."
    )


@strawberry.input(description="What a list of gift cards is narrowed to; all that is given must hold.")
class GiftCardFilter:
    """Conditions on gift cards."""

    statuses: list[GiftCardStatus] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    batch_id: str | None = strawberry.field(
        default=None, description="Issued by the same request as a card with this `batchId`."
    )
    currency: CurrencyCode | None = strawberry.field(default=None, description="In this currency.")
    created: TimeRange | None = strawberry.field(default=None, description="Issued in this time.")
    expires: TimeRange | None = strawberry.field(default=None, description="Ending in this time.")


def gift_card_filter(given: GiftCardFilter | None, search: str | None) -> Filter:
    """Return a filter as the services take it, or raise `FieldInvalid`."""
    if given is None:
        return Filter(search=search)
    created, expires = given.created, given.expires
    return Filter(
        statuses=texts(given.statuses, "filter.statuses"),
        batch_id=None if given.batch_id is None else _batch(given.batch_id),
        currency=given.currency,
        created_from=created.from_ if created else None,
        created_to=created.to if created else None,
        expires_from=expires.from_ if expires else None,
        expires_to=expires.to if expires else None,
        search=search,
    )


def _batch(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise FieldInvalid(
            "This is no batch. Use a `batchId` just as the API gave it.", field=("filter", "batchId")
        ) from None
