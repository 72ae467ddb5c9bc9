"""What is written down beside money: freezes, settings, roles, keys."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.domain.access import Actor


class AuditAction(StrEnum):
    """What was done that an audit entry tells of."""

    FREEZE_WALLET = "FREEZE_WALLET"
    """Staff stopped a wallet."""
    UNFREEZE_WALLET = "UNFREEZE_WALLET"
    """Staff let a wallet go again."""
    UPDATE_SETTINGS = "UPDATE_SETTINGS"
    """The store's settings were changed."""
    CREATE_ROLE = "CREATE_ROLE"
    """A role was made."""
    UPDATE_ROLE = "UPDATE_ROLE"
    """What a role may do, or who bears it, was changed; or it was archived or taken back."""
    CREATE_API_KEY = "CREATE_API_KEY"
    """A service was given a key."""
    ROTATE_API_KEY = "ROTATE_API_KEY"
    """A service's key was replaced by a new one."""
    REVOKE_API_KEY = "REVOKE_API_KEY"
    """A service's key was ended before its time."""
    CREATE_PROMOTION = "CREATE_PROMOTION"
    """A promotion was made."""
    UPDATE_PROMOTION = "UPDATE_PROMOTION"
    """A promotion was changed, begun, paused or archived."""
    CREATE_COUPON_CODES = "CREATE_COUPON_CODES"
    """Coupon codes were made for a promotion."""
    REPLAY_WEBHOOKS = "REPLAY_WEBHOOKS"
    """Messages of the store were worked on again."""
    CREATE_WEBHOOK_ENDPOINT = "CREATE_WEBHOOK_ENDPOINT"
    """Somebody is told of what happens from now on."""
    UPDATE_WEBHOOK_ENDPOINT = "UPDATE_WEBHOOK_ENDPOINT"
    """Where messages go, or which, was changed; or it was switched off or on."""
    ROTATE_WEBHOOK_SECRET = "ROTATE_WEBHOOK_SECRET"  # noqa: S105 — a word, no secret
    """The secret that messages to an endpoint are signed with was replaced."""
    TEST_WEBHOOK_ENDPOINT = "TEST_WEBHOOK_ENDPOINT"
    """A message was sent to an endpoint to try it out."""
    REPLAY_OUTGOING_WEBHOOKS = "REPLAY_OUTGOING_WEBHOOKS"
    """Messages to endpoints were sent again."""
    ADD_PAYOUT_METHOD = "ADD_PAYOUT_METHOD"
    """A wallet was given another place to be paid out to."""
    REMOVE_PAYOUT_METHOD = "REMOVE_PAYOUT_METHOD"
    """A place to be paid out to was taken out of use."""
    READ_PAYOUT_DETAILS = "READ_PAYOUT_DETAILS"
    """Staff read the details of a payout method in full."""
    CREATE_CASHBACK_RULE = "CREATE_CASHBACK_RULE"
    """A cashback rule was made."""
    UPDATE_CASHBACK_RULE = "UPDATE_CASHBACK_RULE"
    """A cashback rule was changed, started, paused or archived."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when and why; `data` is what a reader needs to understand it later (JSON).

    Its keys are `subject` (the name of what was changed), `before` and `after` (the fields that changed).
    """

    id: UUID
    wallet_id: UUID | None
    action: AuditAction
    actor: Actor
    note: str
    created_at: datetime
    data: dict[str, Any] = field(default_factory=dict)


def changes(subject: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an entry: only the fields that differ, as they were and as they are."""
    differing = [name for name in after if before.get(name) != after[name]]
    return {
        "subject": subject,
        "before": {name: before[name] for name in differing if name in before},
        "after": {name: after[name] for name in differing},
    }
