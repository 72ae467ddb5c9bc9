"""E-mails to customers: who gets which, what is looked up when one is sent or shown, and what customers prefer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.access import Capability, Principal
from app.domain.email_kind import Absence, EmailKind, Preference, absence, read_kinds, switched_off
from app.domain.errors import NotFound
from app.domain.global_id import row_id
from app.domain.ledger import Draft, Row
from app.domain.mailing import Body, transaction_body
from app.domain.settings import StoreSettings
from app.domain.withdrawal import WithdrawalStatus
from app.models.customer import Customer
from app.models.settings import SettingsVersion
from app.models.transaction import Transaction
from app.models.wallet import Wallet
from app.models.withdrawal import Withdrawal
from app.services.ledger.command import Command, IdempotencyClaim, WalletRef
from app.services.ledger.rows import customer_of
from app.services.ledger.writer import Writer

NOTED = frozenset({EmailKind.ADJUSTMENT, EmailKind.WITHDRAWAL_REJECTED})
"""Kinds that repeat the note that staff wrote for the customer."""


async def settings_in_force() -> StoreSettings:
    """Return the settings that e-mails go by now."""
    version = await SettingsVersion.all().order_by("-version").first()
    return StoreSettings() if version is None else StoreSettings.from_data(version.data)


@dataclass(frozen=True, slots=True)
class Addressee:
    """A customer as e-mails know them."""

    id: UUID
    name: str
    address: str
    language: str
    switched_off: tuple[EmailKind, ...]

    @classmethod
    def of(cls, row: Customer) -> "Addressee":
        """Return a customer as e-mails know them."""
        return cls(row.id, row.name, row.email, row.language, read_kinds(row.emails_off))

    def misses(self, kind: EmailKind, settings: StoreSettings) -> Absence | None:
        """Return why they get no e-mail of a kind; nothing when they get it."""
        return absence(kind, kinds=settings.email_kinds, switched_off=self.switched_off, address=self.address)


async def addressees(wallet_ids: Collection[UUID]) -> Mapping[UUID, Addressee]:
    """Return whose wallets these are."""
    rows = await Wallet.filter(id__in=list(wallet_ids)).select_related("customer")
    return {row.id: Addressee.of(row.customer) for row in rows}


async def addressee(customer_id: UUID) -> Addressee | None:
    """Return a customer, as they are known now."""
    row = await Customer.get_or_none(id=customer_id)
    return None if row is None else Addressee.of(row)


async def note_of(kind: EmailKind, body: Body) -> str:
    """Return the note that staff wrote for the customer; empty for kinds without one."""
    if kind not in NOTED:
        return ""
    if kind is EmailKind.ADJUSTMENT:
        posted = await Transaction.get_or_none(id=row_id(body["transaction"]["id"]))
        return posted.note if posted else ""
    withdrawal = await Withdrawal.get_or_none(id=row_id(body["withdrawal"]["id"]))
    return (withdrawal.decision_note or "") if withdrawal else ""


async def still_waits(withdrawal_id: UUID) -> bool:
    """Tell whether a withdrawal waits for somebody to decide it."""
    waiting = [str(WithdrawalStatus.REQUESTED), str(WithdrawalStatus.IN_REVIEW)]
    return await Withdrawal.exists(id=withdrawal_id, status__in=waiting)


@dataclass(frozen=True, slots=True)
class About:
    """A transaction that an e-mail would tell of, and its customer."""

    customer: Addressee
    body: Body
    note: str

    @property
    def is_credit(self) -> bool:
        """Whether money came into the wallet."""
        return bool(self.body["transaction"]["direction"] == "CREDIT")


async def about(transaction_id: UUID) -> About | None:
    """Return a transaction with its customer."""
    found = await Transaction.get_or_none(id=transaction_id).select_related("wallet__customer")
    if found is None:
        return None
    return About(Addressee.of(found.wallet.customer), transaction_body(found), found.note)


async def set_preferences(
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    preferences: Sequence[Preference],
    *,
    idempotency_key: str | None,
) -> Customer:
    """Write down which e-mails a customer wants: their own, or with the capability anybody's.

    Raises `NotFound` for another's wallet, `FieldInvalid` for kinds that can't be switched off.
    """

    def decide(draft: Draft) -> Row:
        known = draft.customer
        if not (principal.owns(known.external_id) or principal.may(Capability.CUSTOMERS_WRITE)):
            raise NotFound("wallet", field=("wallet",))
        off = switched_off(known.emails_off, preferences)
        if off != known.emails_off:
            draft.set_customer(replace(known, emails_off=off, updated_at=draft.now))
        return draft.customer

    claim = None
    if idempotency_key is not None:
        content = {
            "wallet": repr(ref),
            "preferences": [[str(one.kind), one.enabled] for one in preferences],
        }
        claim = IdempotencyClaim.of(
            principal.actor, idempotency_key, "updateNotificationPreferences", content
        )
    outcome = await writer.submit(
        Command("updateNotificationPreferences", principal.actor, ref, decide, claim)
    )
    if outcome.customer is not None:
        return customer_of(outcome.customer)
    wallet = await Wallet.get(id=outcome.result["Wallet"]).select_related("customer")
    return wallet.customer
