"""Payout methods: added, removed, read in full."""

from typing import Annotated

from app.context import AppInfo
from app.resolvers.answering import answering, checked_key
from app.schema.types.filters import own_wallet, wallet_ref
from app.schema.types.inputs import (
    INPUT,
    AddPayoutMethodInput,
    PayoutDetailsInput,
    RemovePayoutMethodInput,
    RevealPayoutMethodInput,
)
from app.schema.types.node import decode_id
from app.schema.types.payloads import (
    AddPayoutMethodPayload,
    RemovePayoutMethodPayload,
    RevealPayoutMethodPayload,
)
from app.schema.types.payout_method import PayoutDetail, PayoutMethod
from app.schema.types.wallet import Wallet
from app.services import payout_method as payout_methods


@answering(AddPayoutMethodPayload)
async def add_payout_method(
    info: AppInfo,
    input: Annotated[AddPayoutMethodInput, INPUT],  # noqa: A002
) -> AddPayoutMethodPayload:
    """Add a place to be paid out to."""
    runtime, principal = info.context.runtime, info.context.principal
    done = await payout_methods.add(
        runtime.writer,
        principal,
        wallet_ref(input.wallet) if input.wallet else own_wallet(principal),
        kind=input.kind,
        label=input.label or "",
        details=_details(input.details),
        sealer=runtime.sealer,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return AddPayoutMethodPayload(
        wallet=Wallet(model=done.wallet),
        payout_method=PayoutMethod(model=done.method),
        replayed=done.replayed,
    )


@answering(RemovePayoutMethodPayload)
async def remove_payout_method(
    info: AppInfo,
    input: Annotated[RemovePayoutMethodInput, INPUT],  # noqa: A002
) -> RemovePayoutMethodPayload:
    """Take a payout method out of use."""
    done = await payout_methods.remove(
        info.context.runtime.writer,
        info.context.principal,
        decode_id(input.payout_method_id, "PayoutMethod", field=("payoutMethodId",)),
        idempotency_key=checked_key(input.idempotency_key),
    )
    return RemovePayoutMethodPayload(payout_method=PayoutMethod(model=done.method), replayed=done.replayed)


@answering(RevealPayoutMethodPayload)
async def reveal_payout_method(
    info: AppInfo,
    input: Annotated[RevealPayoutMethodInput, INPUT],  # noqa: A002
) -> RevealPayoutMethodPayload:
    """Read a payout method in full."""
    runtime = info.context.runtime
    done = await payout_methods.reveal(
        runtime.writer,
        info.context.principal,
        decode_id(input.payout_method_id, "PayoutMethod", field=("payoutMethodId",)),
        note=input.note,
        sealer=runtime.sealer,
        idempotency_key=checked_key(input.idempotency_key),
    )
    return RevealPayoutMethodPayload(
        payout_method=PayoutMethod(model=done.kept.method),
        details=[PayoutDetail(name=name, value=value) for name, value in sorted(done.details.items())],
        replayed=done.kept.replayed,
    )


def _details(given: PayoutDetailsInput) -> dict[str, str]:
    named = {
        "holder": given.holder,
        "iban": given.iban,
        "bic": given.bic,
        "routingNumber": given.routing_number,
        "accountNumber": given.account_number,
        "email": given.email,
        "token": given.token,
        "account": given.account,
        "instructions": given.instructions,
    }
    return {name: value for name, value in named.items() if value is not None}
