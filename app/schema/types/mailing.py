"""E-mails to customers: what they want, and how one reads."""

import strawberry

from app.domain.email_kind import TRANSACTIONAL
from app.schema.types.enums import EmailKind


@strawberry.type(description="What a customer decided of one kind of e-mails.")
class NotificationPreference:
    """A kind, and whether it is wanted."""

    kind: EmailKind = strawberry.field(description="The kind.")
    enabled: bool = strawberry.field(
        description="Whether the customer wants it; true until they say otherwise."
    )

    @strawberry.field(
        description="Whether the customer may switch it off. What tells of money that leaves, or of a stopped wallet, stays on: "
        "it warns of what others might do."
    )
    def can_switch_off(self) -> bool:
        """Return whether it is the customer's to decide."""
        return self.kind not in TRANSACTIONAL


@strawberry.type(description="An e-mail as a customer would get it.")
class EmailPreview:
    """Subject, text and HTML."""

    kind: EmailKind = strawberry.field(description="What it tells.")
    language: str = strawberry.field(
        description="The language that it is in, and whose rules amounts follow."
    )
    subject: str = strawberry.field(description="The subject.")
    text: str = strawberry.field(description="The text, for those who read no HTML.")
    html: str = strawberry.field(description="The HTML. Show it in a sandboxed frame.")
    problems: list[str] = strawberry.field(
        description="Why Coffer's own templates were used instead of the store's; empty when all is well."
    )
    languages: list[str] = strawberry.field(description="The languages that there are sentences for.")
