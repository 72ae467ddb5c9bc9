"""Payout methods: added, removed, read in full by staff; and where a withdrawal is to be sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid5

import orjson

from app.bank_accounts import check_account
from app.domain import payout_method as rules
from app.domain.access import Actor, Capability, Principal
from app.domain.errors import NotFound, PayoutMethodsClosed
from app.domain.fraud import Signal
from app.domain.ledger import Desk, Draft
from app.domain.note import check_note, check_text
from app.domain.payout_method import PayoutMethod, PayoutMethodKind, PayoutMethodStatus
from app.models.payout_method import PayoutMethod as PayoutMethodModel
from app.models.wallet import Wallet
from app.sealing import Sealer, Unreadable
from app.services.ledger.command import Command, DeskCommand, IdempotencyClaim, Outcome, WalletRef
from app.services.ledger.mint import RandomMint
from app.services.ledger.rows import payout_method_of, wallet_of
from app.services.ledger.writer import Writer

_NAMESPACE = UUID("0c2a7a52-5a53-5cd9-9f36-31f5a3b2c7d4")


@dataclass(frozen=True, slots=True)
class Kept:
    """The wallet and its payout method, and whether this is the answer to a repeated request."""

    wallet: Wallet
    method: PayoutMethodModel
    replayed: bool


@dataclass(frozen=True, slots=True)
class Revealed:
    """A payout method with its details in full."""

    kept: Kept
    details: dict[str, str]


async def add(
    writer: Writer,
    principal: Principal,
    ref: WalletRef,
    *,
    kind: PayoutMethodKind,
    label: str,
    details: Mapping[str, str],
    sealer: Sealer | None,
    idempotency_key: str,
) -> Kept:
    """Seal a new payout method and begin its waiting time.

    Raises `NotFound` (also for a wallet that is not the caller's), `PayoutMethodsClosed`, `LimitReached` or a refusal
    of the details.
    """
    if sealer is None:
        raise PayoutMethodsClosed
    label = check_text(label, field="label", length_max=rules.LABEL_MAX)
    known = rules.check_details(kind, details)
    check_account(kind, known)
    wallet = await _find(principal, ref)
    actor = principal.actor
    # The id follows from the request, so that what is sealed for it is the same method when it is sent again.
    method_id = uuid5(_NAMESPACE, f"{actor.kind}\n{actor.id}\n{idempotency_key}")
    prints = sealer.fingerprints(rules.identity(kind, known))
    method = PayoutMethod(
        id=method_id,
        wallet_id=wallet.id,
        kind=kind,
        label=label,
        masked=rules.mask(kind, known),
        sealed=sealer.seal(orjson.dumps(known).decode(), _place(method_id, wallet.id)).encode(),
        fingerprint=prints[0],
        status=PayoutMethodStatus.ACTIVE,
        usable_from=wallet.created_at,  # `rules.add` knows the time
        created_by=actor,
        created_at=wallet.created_at,
    )
    others = await _others(prints, wallet.id)
    active = await PayoutMethodModel.filter(
        wallet_id=wallet.id, status=str(PayoutMethodStatus.ACTIVE)
    ).count()
    decide = partial(rules.add, method=method, active=active, others=others)
    # The whole content by its keyed hash: a key that is used again is noticed, and nothing is told by what is kept.
    content = "\n".join(f"{name}={value}" for name, value in sorted(known.items()))
    claimed = {
        "wallet": str(wallet.id),
        "kind": kind,
        "label": label,
        "details": sealer.fingerprints(content)[-1].hex(),
    }
    claim = IdempotencyClaim.of(actor, idempotency_key, "addPayoutMethod", claimed)
    command = Command("addPayoutMethod", actor, WalletRef(wallet_id=wallet.id), decide, claim)
    outcome = await writer.submit(command)
    if not outcome.replayed:
        await _look_again(writer, method, prints, others)
    return await _kept(outcome)


async def remove(writer: Writer, principal: Principal, method_id: UUID, *, idempotency_key: str) -> Kept:
    """Take a payout method out of use. Raises `NotFound`, also for one that is not the caller's."""
    found = await _row(method_id)

    def decide(draft: Draft) -> PayoutMethod:
        if not _may_write(principal, draft.customer.external_id):
            raise _no_method()
        return rules.remove(draft, draft.row(PayoutMethod, method_id), actor=principal.actor)

    claim = IdempotencyClaim.of(
        principal.actor, idempotency_key, "removePayoutMethod", {"method": str(method_id)}
    )
    return await _kept(await writer.submit(_on(found, "removePayoutMethod", principal.actor, decide, claim)))


async def reveal(
    writer: Writer,
    principal: Principal,
    method_id: UUID,
    *,
    note: str,
    sealer: Sealer | None,
    idempotency_key: str,
) -> Revealed:
    """Open the details of a method for a payment, after writing down who reads them and why.

    Raises `NotFound`, `PayoutMethodsClosed` or a refusal of the note.
    """
    note = check_note(note)
    found = await _row(method_id)
    # Opened before it is written down: nobody is said to have read what could not be opened.
    details = opened(sealer, found)

    def decide(draft: Draft) -> PayoutMethod:
        return rules.read_by(draft, draft.row(PayoutMethod, method_id), note=note, actor=principal.actor)

    claim = IdempotencyClaim.of(
        principal.actor, idempotency_key, "revealPayoutMethod", {"method": str(method_id), "note": note}
    )
    command = _on(found, "revealPayoutMethod", principal.actor, decide, claim)
    return Revealed(await _kept(await writer.submit(command)), details)


def opened(sealer: Sealer | None, method: PayoutMethodModel) -> dict[str, str]:
    """Return a method's details in full. Raises `PayoutMethodsClosed` where the key for it is missing."""
    if sealer is None:
        raise PayoutMethodsClosed
    try:
        details: dict[str, str] = orjson.loads(
            sealer.open(bytes(method.sealed).decode(), _place(method.id, method.wallet_id))
        )
    except (Unreadable, UnicodeDecodeError):
        raise PayoutMethodsClosed from None
    return details


# --- shared -------------------------------------------------------------------------------------------------


def _place(method_id: UUID, wallet_id: UUID) -> str:
    return f"payout method {method_id} of {wallet_id}"


def _may_write(principal: Principal, external_id: str) -> bool:
    return principal.owns(external_id) or principal.may(Capability.PAYOUT_METHODS_WRITE)


def _no_method() -> NotFound:
    return NotFound("payout method", field=("payoutMethodId",))


async def _find(principal: Principal, ref: WalletRef) -> Wallet:
    """Return a wallet that the caller may give payout methods; its id is part of what seals them."""
    named = {"id": ref.wallet_id, "customer_id": ref.customer_id, "customer__external_id": ref.external_id}
    query = Wallet.filter(**{name: value for name, value in named.items() if value is not None})
    wallet = await query.select_related("customer").first()
    if wallet is None or not _may_write(principal, wallet.customer.external_id):
        raise NotFound("wallet", field=("wallet",))
    return wallet


async def _row(method_id: UUID) -> PayoutMethodModel:
    found = await PayoutMethodModel.get_or_none(id=method_id)
    if found is None:
        raise _no_method()
    return found


async def _others(prints: list[bytes], wallet_id: UUID) -> frozenset[UUID]:
    """Return the other wallets that are, or ever were, paid out to the same place."""
    rows = await PayoutMethodModel.filter(fingerprint__in=prints).values_list("wallet_id", flat=True)
    return frozenset(UUID(str(row)) for row in rows) - {wallet_id}


async def _look_again(
    writer: Writer, method: PayoutMethod, prints: list[bytes], seen: frozenset[UUID]
) -> None:
    """Note whoever added the same place in the same moment: neither could see the other before both were written."""
    now_there = await _others(prints, method.wallet_id)
    if seen or not now_there:
        return

    def decide(desk: Desk) -> Signal:
        signal = rules.shared(desk.mint.id(), method, len(now_there), desk.now)
        desk.add(signal)
        return signal

    claim = IdempotencyClaim.own(method.created_by, str(RandomMint().id()))
    await writer.submit(DeskCommand("keepSignals", method.created_by, decide, claim))


def _on(
    found: PayoutMethodModel,
    name: str,
    actor: Actor,
    decide: Callable[[Draft], PayoutMethod],
    claim: IdempotencyClaim,
) -> Command:
    # The wallet of a method never changes, so it may be read before the wallet is locked.
    ref = WalletRef(wallet_id=found.wallet_id)
    return Command(name, actor, ref, decide, claim, rows=((PayoutMethod, found.id),))


async def _kept(outcome: Outcome) -> Kept:
    if isinstance(outcome.answer, PayoutMethod) and outcome.wallet is not None:
        return Kept(wallet_of(outcome.wallet), payout_method_of(outcome.answer), replayed=False)
    method = await PayoutMethodModel.get(id=outcome.result["PayoutMethod"]).select_related("wallet")
    return Kept(method.wallet, method, replayed=True)
