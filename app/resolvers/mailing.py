"""E-mails to customers: previews and preferences."""

from typing import Annotated

import strawberry

from app.context import AppInfo, RequestError
from app.domain.access import Capability
from app.domain.email_kind import EmailKind, Preference, check_language
from app.domain.errors import FieldInvalid, NotFound
from app.domain.mailing import kind_of_transaction
from app.email.facts import Reader
from app.email.samples import CUSTOMER_NAME, sample, sample_note
from app.email.templates import Occasion
from app.resolvers.answering import answering, optional_key
from app.schema.types.customer import Customer
from app.schema.types.filters import own_wallet, wallet_ref
from app.schema.types.inputs import INPUT, UpdateNotificationPreferencesInput
from app.schema.types.mailing import EmailPreview
from app.schema.types.node import decode_id
from app.schema.types.payloads import UpdateNotificationPreferencesPayload
from app.services import mailing

PREFERENCES_MAX = len(EmailKind)


async def preview_email(
    info: AppInfo,
    kind: Annotated[EmailKind, strawberry.argument(description="What the e-mail tells.")],
    language: Annotated[
        str | None,
        strawberry.argument(description="The reader's language; left out, the customer's or the store's."),
    ] = None,
    transaction_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(
            description="A transaction that the e-mail tells of, for the kinds that tell of one; left out, a made-up one. It "
            "needs WALLETS_READ and CUSTOMERS_READ."
        ),
    ] = None,
) -> EmailPreview:
    """Show an e-mail without sending it."""
    settings = await mailing.settings_in_force()
    runtime = info.context.runtime
    environment = runtime.settings
    tag = "" if language is None else check_language(language)
    if transaction_id is None:
        body, name, note = sample(kind, environment.currency), CUSTOMER_NAME, sample_note(kind)
    else:
        found = await _about(info, transaction_id)
        if kind_of_transaction(found.body["transaction"]["kind"], credit=found.is_credit) is not kind:
            raise FieldInvalid(
                f"No e-mail of the kind {kind} tells of this transaction. Choose another kind or transaction.",
                field=("transactionId",),
            )
        body, name = found.body, found.customer.name
        note = found.note if kind in mailing.NOTED else ""
        tag = tag or found.customer.language
    shown = runtime.emails.render(
        Occasion(
            kind,
            body,
            Reader(environment.store_name, name, note, environment.email_preferences_url or ""),
            language=tag,
            fallback=settings.email_language,
            zone=settings.zone,
        )
    )
    return EmailPreview(
        kind=kind,
        language=shown.language,
        subject=shown.subject,
        text=shown.text,
        html=shown.html,
        problems=[*runtime.emails.problems, *shown.problems],
        languages=list(runtime.emails.languages),
    )


async def _about(info: AppInfo, given: strawberry.ID) -> mailing.About:
    for capability in (Capability.WALLETS_READ, Capability.CUSTOMERS_READ):
        if not info.context.principal.may(capability):
            raise RequestError(
                "FORBIDDEN",
                f"You may not do this: it needs the capability {capability}. Ask an administrator of the store for it.",
                capability=capability.value,
            )
    found = await mailing.about(decode_id(given, "Transaction", field=("transactionId",)))
    if found is None:
        raise NotFound("transaction", field=("transactionId",))
    return found


@answering(UpdateNotificationPreferencesPayload)
async def update_notification_preferences(
    info: AppInfo,
    input: Annotated[UpdateNotificationPreferencesInput, INPUT],  # noqa: A002
) -> UpdateNotificationPreferencesPayload:
    """Write down which e-mails a customer wants."""
    principal = info.context.principal
    if len(input.preferences) > PREFERENCES_MAX:
        raise FieldInvalid("Name each kind once at most.", field=("preferences",))
    done = await mailing.set_preferences(
        info.context.runtime.writer,
        principal,
        own_wallet(principal) if input.wallet is None else wallet_ref(input.wallet),
        [Preference(one.kind, one.enabled) for one in input.preferences],
        idempotency_key=optional_key(input.idempotency_key),
    )
    return UpdateNotificationPreferencesPayload(customer=Customer(model=done))
