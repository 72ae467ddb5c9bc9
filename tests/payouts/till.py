"""Customers with money, payout methods and approved withdrawals, by the services."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast
from uuid import UUID
from zlib import crc32

from stdnum import iban

from app.context import Runtime
from app.domain.access import Capability, Principal, PrincipalKind
from app.domain.payout_method import PayoutMethodKind
from app.domain.settings import StoreSettings
from app.domain.withdrawal_terms import WithdrawalTerms
from app.jobs import Worker
from app.models.wallet import Wallet
from app.models.withdrawal import Withdrawal
from app.outbox.worker import OutboxWorker
from app.payouts.processing import Payouts
from app.payouts.provider import Provider
from app.sealing import Sealer
from app.services import payout_method as payout_methods, withdrawal as withdrawals
from app.services.ledger.command import WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.outbox import Bell
from tests.ledger import Clock, change_settings, credit

MINT = RandomMint()
SEALER = Sealer([bytes(range(32))])
TERMS = WithdrawalTerms(
    enabled=True, methods=("MANUAL", *PayoutMethodKind), auto_approve_below_minor=1_000_000, fee_fixed_minor=7
)
ALL = Principal(PrincipalKind.STAFF, "s-1", capabilities=frozenset(Capability))
IBANS = ("DE89370400440532013000", "NO9386011117947", "GB82WEST12345698765432")
DETAILS = {
    PayoutMethodKind.BANK_IBAN: {"holder": "Ada King", "iban": IBANS[0]},
    PayoutMethodKind.PROVIDER: {"token": "ba_1KJ9x2abcd", "account": "acct_1"},
}


def customer(name: str) -> Principal:
    """A customer as the services see them."""
    return Principal(PrincipalKind.CUSTOMER, name, customer_external_id=name)


def _of(who: str, kind: PayoutMethodKind) -> dict[str, str]:
    """A place of the customer's own: a shared one would be a signal."""
    if kind is PayoutMethodKind.PROVIDER:
        return {"token": f"ba_{who}", "account": "acct_1"}
    account = f"DE00370400440{crc32(who.encode()) % 10**9:09}"
    return {"holder": who, "iban": f"DE{iban.calc_check_digits(account)}{account[4:]}"}


class Work(Payouts):
    """What one process does about payouts: the clock's job and the outbox, whenever a test has them do it."""

    async def send_due(self) -> int:
        """Hand over what is approved and have it sent; tell how many were handed over."""
        runtime = cast("Runtime", SimpleNamespace(writer=self._writer, clock=self._clock))
        done = await Worker(self.job(60), runtime).round()
        await self.ask_due()
        return done

    async def ask_due(self) -> int:
        """Work on the messages that are due, and tell how many there were."""
        outbox = OutboxWorker(
            writer=self._writer, bell=Bell(), clock=self._clock, senders=[self], jitter=lambda: 1.0
        )
        return await outbox.work_off()

    async def send(self, withdrawal_id: UUID) -> bool:
        """Hand one over and have it sent; tell whether it was ours to hand over."""
        if not await self.begin(withdrawal_id):
            return False
        await self.ask_due()
        return True


@dataclass
class Till:
    """One store and what happens at its till."""

    writer: Writer
    clock: Clock

    async def open(self, *, waiting_hours: int = 0, terms: WithdrawalTerms = TERMS) -> "Till":
        settings = replace(StoreSettings(), withdrawals=terms, payout_method_waiting_hours=waiting_hours)
        await self.writer.submit(change_settings(settings))
        return self

    async def method(
        self,
        who: str,
        kind: PayoutMethodKind = PayoutMethodKind.BANK_IBAN,
        details: dict[str, str] | None = None,
        *,
        key: str | None = None,
        sealer: Sealer | None = SEALER,
    ) -> payout_methods.Kept:
        return await payout_methods.add(
            self.writer,
            customer(who),
            WalletRef(external_id=who),
            kind=kind,
            label="",
            details=details or DETAILS[kind],
            sealer=sealer,
            idempotency_key=key or str(MINT.id()),
        )

    async def request(self, who: str, method_id: UUID, amount: str = "10.00") -> Withdrawal:
        done = await withdrawals.request(
            self.writer,
            customer(who),
            WalletRef(external_id=who),
            amount=amount,
            currency="USD",
            note="",
            payout_method_id=method_id,
            idempotency_key=str(MINT.id()),
        )
        return done.withdrawal

    async def approved(
        self, who: str = "ada", amount: str = "10.00", kind: PayoutMethodKind = PayoutMethodKind.BANK_IBAN
    ) -> UUID:
        """A customer with 100.00 more, who asks to be paid out and needs nobody's consent."""
        await self.writer.submit(credit(who, 10_000))
        details = DETAILS[kind] if who == "ada" else _of(who, kind)
        kept = await self.method(who, kind, details)
        withdrawal = await self.request(who, kept.method.id, amount)
        assert withdrawal.status == "APPROVED"
        return withdrawal.id

    def work(self, provider: Provider) -> "Work":
        return Work(provider, writer=self.writer, sealer=SEALER, clock=self.clock, mint=MINT.id)


async def stands(withdrawal_id: UUID) -> Withdrawal:
    """A withdrawal as it is stored."""
    return await Withdrawal.get(id=withdrawal_id)


async def balance(who: str) -> tuple[int, int]:
    """What a customer has, and what of it is held."""
    wallet = await Wallet.get(customer__external_id=who)
    return wallet.posted_minor, wallet.held_minor
