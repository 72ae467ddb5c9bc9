"""Freeze and unfreeze."""

from datetime import UTC

import pytest

from app.domain.audit import AuditEntry
from app.domain.errors import WalletFrozen, WalletNotFrozen
from app.domain.ledger import GENESIS_HASH, WalletStatus
from app.domain.wallet import freeze, unfreeze
from tests.domain.book import STAFF, START, Book

NOTE = "Chargeback 8812 under review"


def test_a_new_wallet_is_at_zero() -> None:
    wallet = Book().state.wallet
    totals = (wallet.posted_minor, wallet.held_minor, wallet.overdraft_minor, wallet.sequence, wallet.version)
    assert totals == (0, 0, 0, 0, 0)
    assert wallet.head_hash == GENESIS_HASH
    assert wallet.status is WalletStatus.ACTIVE
    assert wallet.created_at == START
    assert wallet.created_at.tzinfo is UTC


def test_a_freeze_is_written_down_and_undone() -> None:
    book = Book()
    book.credit(10)
    for step, status, action in (
        (freeze, WalletStatus.FROZEN, "FREEZE_WALLET"),
        (unfreeze, WalletStatus.ACTIVE, "UNFREEZE_WALLET"),
    ):
        draft = book.after(hours=1).draft()
        version = draft.wallet.version
        step(draft, note=NOTE, actor=STAFF)
        assert draft.wallet.status is status
        assert draft.wallet.version == version + 1
        assert draft.wallet.posted_minor == 10
        assert draft.wallet.last_activity_at == START, "no money moved"
        (entry,) = draft.rows
        assert isinstance(entry, AuditEntry)
        assert (entry.action, entry.actor, entry.note, entry.wallet_id) == (
            action,
            STAFF,
            NOTE,
            draft.wallet.id,
        )
        book.state.fold(draft)


def test_a_freeze_is_not_repeated() -> None:
    book = Book()
    with pytest.raises(WalletNotFrozen):
        book.do(lambda draft: unfreeze(draft, note=NOTE, actor=STAFF))
    book.do(lambda draft: freeze(draft, note=NOTE, actor=STAFF))
    with pytest.raises(WalletFrozen):
        book.do(lambda draft: freeze(draft, note=NOTE, actor=STAFF))
