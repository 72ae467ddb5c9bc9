"""Cashback for tests below the API: rules that are in force, and what was given by them."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from app.domain.cashback import registry
from app.domain.cashback.registry import StoredRule
from app.domain.cashback.rule import CashbackRule, RuleStatus, revised
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer
from tests.auditor import Tables, read_tables
from tests.domain.cashback import shop
from tests.ledger import STAFF


async def rule(writer: Writer, **parts: Any) -> CashbackRule:
    """Put a rule in force: 5 percent of completed orders, unless told otherwise."""
    wanted = shop.rule(**{"currency": "USD"} | parts)
    stored = await _desk(
        writer,
        lambda desk: registry.create(
            desk, lambda row_id: replace(wanted, id=row_id), note="For the spring sale", actor=STAFF
        ),
    )
    return stored.rule


async def change(writer: Writer, rule_id: UUID, **parts: Any) -> CashbackRule:
    """Make the next version of a rule."""
    stored = await _desk(
        writer,
        lambda desk: registry.update(
            desk, rule_id, lambda before: revised(before, **parts), note="Changed our mind", actor=STAFF
        ),
    )
    return stored.rule


async def pause(writer: Writer, rule_id: UUID) -> CashbackRule:
    """Stop a rule."""
    return await change(writer, rule_id, status=RuleStatus.PAUSED)


async def _desk(writer: Writer, decide: Any) -> StoredRule:
    outcome = await writer.submit(DeskCommand("changeRule", STAFF, decide, tables=(StoredRule,)))
    assert isinstance(outcome.answer, StoredRule)
    return outcome.answer


async def awards_of(who: str) -> list[dict[str, Any]]:
    """What a customer was given, oldest first."""
    rows = [row for row in (await read_tables())["cashback_awards"] if row["store_customer"] == who]
    return sorted(rows, key=lambda row: (row["awarded_at"], row["id"]))


async def given(rule_id: UUID) -> int:
    """What a rule has given in all, as its total says."""
    rows = (await read_tables())["cashback_totals"]
    return sum(row["given_minor"] for row in rows if row["given_by"] == str(rule_id))


def audit_cashback(tables: Tables) -> None:
    """Fail where awards, their money, the totals of rules and the debts of wallets don't agree."""
    transactions, lots = tables["transactions"], {row["id"]: row for row in tables["lots"]}
    debts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for award in tables["cashback_awards"]:
        assert award["clawed_minor"] == sum(award["taken"].values()), "the parts taken add up"
        assert award["debt_minor"] == award["taken"]["debt_minor"]
        assert sum(line[2] for line in award["lines"]) in {0, award["amount_minor"]}, "lines add up"
        for lot_id in award["lot_ids"]:
            assert lots[lot_id]["wallet_id"] == award["wallet_id"]
        debts[award["wallet_id"]] = debts.get(award["wallet_id"], 0) + award["debt_minor"]
        net = award["amount_minor"] - award["clawed_minor"]
        totals[award["given_by"]] = totals.get(award["given_by"], 0) + net
    for wallet in tables["wallets"]:
        assert wallet["debt_minor"] == debts.get(wallet["id"], 0), "a wallet owes what its awards do"
        posted = sum(
            row["amount_minor"]
            for row in transactions
            if row["wallet_id"] == wallet["id"] and row["kind"] in {"CASHBACK", "PROMOTION", "CLAWBACK"}
        )
        of_wallet = [row for row in tables["cashback_awards"] if row["wallet_id"] == wallet["id"]]
        coupons = [
            row["amount_minor"] - row["taken"]["lots_minor"] - row["taken"]["others_minor"]
            for row in tables["coupon_redemptions"]
            if row["wallet_id"] == wallet["id"] and row["transaction_id"] is not None
        ]
        assert posted == sum(map(_posted, of_wallet)) + sum(coupons), "what was posted is what was given"
    for total in tables["cashback_totals"]:
        assert total["given_minor"] == totals.pop(total["given_by"], 0), "a rule's total is what it gave"
    assert not any(totals.values())


def _posted(award: dict[str, Any]) -> int:
    taken = award["taken"]
    if award["vested_at"] is None:
        return 0
    back = taken["unvested_minor"] + taken["lots_minor"] + taken["others_minor"]
    return int(award["amount_minor"]) - int(back)
