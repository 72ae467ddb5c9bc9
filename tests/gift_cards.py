"""Gift cards for tests, through the services."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from app.auth.gift_card import CodeKeys
from app.domain.access import Actor, ActorKind, Capability, Principal, PrincipalKind
from app.domain.fraud import Guesser, GuessLimits
from app.domain.settings import StoreSettings
from app.models.gift_card import GiftCard
from app.services import gift_card as gift_cards
from app.services.gift_card import Issued, IssueRequest, Redeemed
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer
from tests.ledger import change_settings

KEY, OLDER_KEY = b"a key of thirty-two bytes, or of more", b"the key before, of as many bytes, say"
KEYS = CodeKeys([KEY])
MIRA = Actor(ActorKind.STAFF, "mira")
TILL = Principal(PrincipalKind.SERVICE, "till", capabilities=frozenset(Capability))


def customer(name: str) -> Principal:
    """A customer who signed in."""
    return Principal(PrincipalKind.CUSTOMER, name, customer_external_id=name)


async def open_redemption(writer: Writer, **more: Any) -> None:
    """Have gift cards redeemed from here on."""
    await writer.submit(change_settings(StoreSettings(gift_cards_redeemable=True, **more)))


async def issue(writer: Writer, *, keys: CodeKeys = KEYS, **more: Any) -> Issued:
    """Issue cards: one of 25.00 that is active, unless it is said otherwise."""
    wanted: dict[str, Any] = {
        "amount": None if "csv" in more else "25.00",
        "currency": "USD",
        "count": None,
        "csv": None,
        "expires_at": None,
        "label": "",
        "note": "For the spring raffle",
        "active": True,
        "promotional": False,
        "idempotency_key": None,
    }
    return await gift_cards.issue(writer, keys, MIRA, IssueRequest(**{**wanted, **more}))


async def look_up(code: str, *, keys: CodeKeys = KEYS) -> GiftCard:
    """Find a card by its code, as somebody whose guesses nobody counts."""
    limits = GuessLimits(1_000_000)
    return await gift_cards.look_up(keys, limits, Guesser(None, None), code, datetime.now(UTC))


async def redeem(
    writer: Writer,
    who: str,
    code: str,
    *,
    amount: str | None = None,
    key: str = "",
    by: Principal | None = None,
) -> Redeemed:
    """Redeem a card into a wallet, by its customer unless it is said otherwise."""
    return await gift_cards.redeem(
        writer,
        by or customer(who),
        WalletRef(external_id=who),
        await look_up(code),
        amount=amount,
        currency=None if amount is None else "USD",
        idempotency_key=key or f"redeem {who} {sha256(code.encode()).hexdigest()}",
    )
