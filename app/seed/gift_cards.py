"""The demo store's gift cards: the setting that has them redeemed, and some that are still to be redeemed."""

from collections.abc import Awaitable
from datetime import datetime
from random import Random

from app.auth.gift_card import CodeKeys
from app.domain.access import Actor, ActorKind
from app.domain.gift_card import CODE_BITS, CardOrder, GiftCard, GiftCardAccount, code_of, issue
from app.domain.ledger import Desk
from app.domain.money import Currency
from app.seed.orders import Act, Step
from app.seed.people import SEED
from app.seed.story import DAYS, STOREFRONT, unit_of
from app.services import settings as store_settings
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.writer import Writer

_OWNER = Actor(ActorKind.STAFF, "admin")
_CARDS = (
    # price, active, who pays, label
    (2_500, True, GiftCardAccount.FUNDING, "Birthday of a colleague"),
    (1_000, True, GiftCardAccount.MARKETING, "Spring raffle"),
    (1_000, True, GiftCardAccount.MARKETING, "Spring raffle"),
    (5_000, False, GiftCardAccount.FUNDING, "Shop window"),
)


def code_of_demo(number: int) -> str:
    """Return the code of one of the cards: the same in every demo, so never for a real shop."""
    return code_of(Random(f"{SEED}:gift card {number}").getrandbits(CODE_BITS))


def tell_gift_cards(currency: Currency, keys: CodeKeys) -> list[Step]:
    """Return what is asked for, in order."""
    unit = unit_of(currency.exponent)
    issued = [
        Step(20, f"seed:gift-cards:{number}", _issues(number, price * unit, currency, keys))
        for number, (price, *_) in enumerate(_CARDS)
    ]
    return [Step(DAYS + 1, "seed:gift-cards:on", _turns_on), *issued]


def _turns_on(writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
    changes = {"gift_cards_redeemable": True, "gift_card_check_by_anyone": True}
    note = "Gift cards can be redeemed into wallets from today on"
    return store_settings.update(writer, _OWNER, changes, note=note, idempotency_key=key)


def _issues(number: int, amount_minor: int, currency: Currency, keys: CodeKeys) -> Act:
    _, active, funded_by, label = _CARDS[number]
    order = CardOrder(amount_minor, None, label, "Sold in the shop" if active else "To be sold in the shop")
    kept = keys.kept(code_of_demo(number))

    def act(writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
        def decide(desk: Desk) -> GiftCard:
            return issue(desk, [(order, kept)], currency.code, funded_by, STOREFRONT, active=active)[0]

        claim = IdempotencyClaim.of(STOREFRONT, key, "issueGiftCards", {"number": number})
        return writer.submit(DeskCommand("issueGiftCards", STOREFRONT, decide, claim))

    return act
