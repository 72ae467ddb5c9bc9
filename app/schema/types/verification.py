"""What a verification of the ledger finds."""

import strawberry

from app.schema.types.enums import CounterAccount, publish
from app.schema.types.money import Money, money
from app.schema.types.node import encode_id
from app.schema.types.scalars import BigInt, CurrencyCode
from app.services.verification import Fault, Invariant, Report, Total

publish(Invariant, "What must hold in the ledger.", name="LedgerInvariant")


@strawberry.type(description="The first thing that is wrong with a wallet.")
class LedgerFault:
    """One fault."""

    wallet_id: strawberry.ID | None = strawberry.field(
        description="The wallet, if the faulty row leads to one."
    )
    sequence: BigInt | None = strawberry.field(
        description="The transaction's sequence number, if one is at fault."
    )
    invariant: Invariant = strawberry.field(description="What must hold and does not.")
    message: str = strawberry.field(description="What was found.")


@strawberry.type(description="What stands on one counter account.")
class CounterAccountTotal:
    """One account's sum."""

    account: CounterAccount = strawberry.field(description="The account.")
    balance: Money = strawberry.field(description="Its sum; negative where money came into wallets from it.")


@strawberry.type(description="Both sides of the ledger in one currency.")
class LedgerTotal:
    """Wallets against counter accounts."""

    currency: CurrencyCode = strawberry.field(description="The currency.")
    wallets: Money = strawberry.field(
        description="The sum of all wallets: what the store owes its customers."
    )
    counter_accounts: list[CounterAccountTotal] = strawberry.field(description="The other side.")
    difference: Money = strawberry.field(description="Both sides added; anything but zero is a fault.")


@strawberry.type(description="The result of verifying the ledger.")
class LedgerVerification:
    """A report."""

    is_clean: bool = strawberry.field(description="Whether the whole ledger is as it must be.")
    wallets: BigInt = strawberry.field(description="How many wallets were verified.")
    transactions: BigInt = strawberry.field(description="How many transactions were verified.")
    faults: list[LedgerFault] = strawberry.field(
        description="The first fault of each faulty wallet; at most 100."
    )
    fault_count: BigInt = strawberry.field(description="How many faults were found in all.")
    totals: list[LedgerTotal] = strawberry.field(description="Both sides of the ledger, by currency.")


FAULTS_MAX = 100


def verification(report: Report) -> LedgerVerification:
    """Return a report as GraphQL shows it."""
    return LedgerVerification(
        is_clean=report.is_clean,
        wallets=BigInt(report.wallets),
        transactions=BigInt(report.transactions),
        faults=[_fault(fault) for fault in report.faults[:FAULTS_MAX]],
        fault_count=BigInt(len(report.faults)),
        totals=[_total(total) for total in report.totals],
    )


def _fault(fault: Fault) -> LedgerFault:
    return LedgerFault(
        wallet_id=None if fault.wallet_id is None else encode_id("Wallet", fault.wallet_id),
        sequence=None if fault.sequence is None else BigInt(fault.sequence),
        invariant=fault.invariant,
        message=fault.message,
    )


def _total(total: Total) -> LedgerTotal:
    return LedgerTotal(
        currency=CurrencyCode(total.currency),
        wallets=money(total.wallets_minor, total.currency),
        counter_accounts=[
            CounterAccountTotal(account=CounterAccount(account), balance=money(minor, total.currency))
            for account, minor in total.counter_accounts_minor.items()
        ],
        difference=money(total.difference_minor, total.currency),
    )
