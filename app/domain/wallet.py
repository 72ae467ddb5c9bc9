"""Staff stop a wallet and let it go again."""

from app.domain.access import Actor
from app.domain.audit import AuditAction, AuditEntry
from app.domain.errors import WalletFrozen, WalletNotFrozen
from app.domain.ledger import Draft, WalletStatus


def freeze(draft: Draft, *, note: str, actor: Actor) -> None:
    """Stop a wallet, or raise `WalletFrozen` when it is stopped already."""
    if draft.wallet.status is WalletStatus.FROZEN:
        raise WalletFrozen
    _set(draft, WalletStatus.FROZEN, AuditAction.FREEZE_WALLET, note, actor)


def unfreeze(draft: Draft, *, note: str, actor: Actor) -> None:
    """Let a wallet go again, or raise `WalletNotFrozen`."""
    if draft.wallet.status is WalletStatus.ACTIVE:
        raise WalletNotFrozen
    _set(draft, WalletStatus.ACTIVE, AuditAction.UNFREEZE_WALLET, note, actor)


def _set(draft: Draft, status: WalletStatus, action: AuditAction, note: str, actor: Actor) -> None:
    draft.set_status(status)
    data = {"subject": draft.customer.external_id}
    draft.add(AuditEntry(draft.mint.id(), draft.wallet.id, action, actor, note, draft.now, data))
