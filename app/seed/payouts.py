"""The demo's payout methods and top-ups: where customers are paid out to, what they started to pay in, and a rule that asks."""

from collections.abc import Awaitable
from datetime import datetime

from app.domain.access import Actor, ActorKind, Capability, Principal, PrincipalKind
from app.domain.auto_top_up import AutoTopUpKind
from app.domain.auto_top_up_charge import AutoTopUpTerms
from app.domain.money import Currency
from app.domain.payout_method import PayoutMethodKind
from app.domain.top_up import TopUpTold
from app.sealing import Sealer
from app.seed.orders import SOURCE, Act, Step
from app.seed.people import DEMO_CUSTOMER, FIRST_NUMBER
from app.seed.story import DAYS, unit_of
from app.services import (
    auto_top_up as auto_top_ups,
    payout_method as payout_methods,
    settings as store_settings,
    top_up as top_ups,
    top_up_intent as top_up_intents,
    withdrawal as withdrawals,
)
from app.services.ledger.command import WalletRef
from app.services.ledger.writer import Writer

_OWNER = Actor(ActorKind.STAFF, "admin")
_STORE = Principal(PrincipalKind.SERVICE, "storefront", capabilities=frozenset(Capability))
_MIRA = Principal(PrincipalKind.STAFF, "mira", capabilities=frozenset({Capability.WITHDRAWALS_REVIEW}))
_METHOD = "card"
_METHOD_KEY = "seed:payouts:method:{}"
_PAID_OUT = ("Berlin account", {"holder": "Demo Customer", "iban": "DE89370400440532013000"})
_OTHERS = [str(FIRST_NUMBER + number) for number in range(52, 56)]


def tell_payouts(currency: Currency, sealer: Sealer | None) -> list[Step]:
    """Return what is asked for, in order; without a key that seals there are no payout methods."""
    till, steps = _Till(currency), list[Step]()
    told: list[tuple[int, Act]] = [(DAYS + 1, till.turns_on)]
    if sealer is not None:
        for who in (DEMO_CUSTOMER, _OTHERS[0]):
            steps.append(Step(30, _METHOD_KEY.format(who), _adds_method(who, sealer)))
        told += [(9, till.tops_up(_OTHERS[0], 6_000)), (6, till.asks_to_be_paid(_OTHERS[0], 2_500, sealer))]
    told += [
        (8, till.tops_up(_OTHERS[1], 2_500)),
        (5, till.starts(_OTHERS[2], 1_000)),
        (4, till.sets_rule(_OTHERS[3], AutoTopUpKind.THRESHOLD)),
        (2, till.sets_rule(DEMO_CUSTOMER, AutoTopUpKind.MONTHLY)),
        (0, till.starts(DEMO_CUSTOMER, 5_000)),
    ]
    return [*steps, *(Step(day, f"seed:payouts:{number}", act) for number, (day, act) in enumerate(told))]


def _self(who: str) -> Principal:
    return Principal(PrincipalKind.CUSTOMER, who, customer_external_id=who)


def _adds_method(who: str, sealer: Sealer) -> Act:
    def act(writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
        return _method(who, sealer, writer, key)

    return act


async def _method(who: str, sealer: Sealer, writer: Writer, key: str) -> payout_methods.Kept:
    label, details = _PAID_OUT
    if who != DEMO_CUSTOMER:
        label, details = "", {"holder": "A. Customer", "iban": "NL91ABNA0417164300"}
    return await payout_methods.add(
        writer,
        _self(who),
        WalletRef(external_id=who),
        kind=PayoutMethodKind.BANK_IBAN,
        label=label,
        details=details,
        sealer=sealer,
        idempotency_key=key,
    )


class _Till:
    """Makes the requests; prices are thought up in hundredths."""

    def __init__(self, currency: Currency) -> None:
        self._currency = currency
        self._unit = unit_of(currency.exponent)

    def _text(self, price: int) -> str:
        return self._currency.format(price * self._unit)

    def turns_on(self, writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
        """Have the store take top-ups and pay out to accounts."""
        changes = {
            "top_ups_enabled": True,
            "top_up_methods": (_METHOD, "paypal"),
            "top_up_suggested_minor": tuple(price * self._unit for price in (1_000, 2_500, 5_000)),
            "withdrawals": {"methods": ("BANK_TRANSFER", "MANUAL", PayoutMethodKind.BANK_IBAN)},
        }
        note = "Customers pay in by card, and are paid out to accounts that they name"
        return store_settings.update(writer, _OWNER, changes, note=note, idempotency_key=key)

    def asks_to_be_paid(self, who: str, price: int, sealer: Sealer) -> Act:
        """Return that a customer asks to be paid out to their account, and staff approve it."""

        async def act(writer: Writer, key: str, _now: datetime) -> object:
            wallet = WalletRef(external_id=who)
            # Added before; with its key, that is what is answered again.
            kept = await _method(who, sealer, writer, _METHOD_KEY.format(who))
            done = await withdrawals.request(
                writer,
                _self(who),
                wallet,
                amount=self._text(price),
                currency=self._currency.code,
                note="",
                payout_method_id=kept.method.id,
                idempotency_key=key,
            )
            return await withdrawals.approve(
                writer, _MIRA, done.withdrawal.id, note=None, idempotency_key=f"{key}:approved"
            )

        return act

    def starts(self, who: str, price: int) -> Act:
        """Return that a customer begins to pay in."""

        def act(writer: Writer, key: str, _now: datetime) -> Awaitable[object]:
            return self._started(who, price, writer, key)

        return act

    async def _started(self, who: str, price: int, writer: Writer, key: str) -> top_up_intents.Begun:
        return await top_up_intents.start(
            writer,
            _self(who),
            WalletRef(external_id=who),
            amount=self._text(price),
            currency=self._currency.code,
            payment_method=_METHOD,
            idempotency_key=key,
        )

    def tops_up(self, who: str, price: int) -> Act:
        """Return that a customer began to pay in, and the store got the money."""

        async def act(writer: Writer, key: str, now: datetime) -> object:
            started = await self._started(who, price, writer, f"{key}:started")
            told = TopUpTold(
                SOURCE,
                key,
                price * self._unit,
                self._currency.code,
                payment_method=_METHOD,
                paid_at=now,
                modified_at=now,
            )
            return await top_ups.record(
                writer,
                _STORE.actor,
                WalletRef(external_id=who),
                told,
                intent=started.intent.reference,
                idempotency_key=key,
            )

        return act

    def sets_rule(self, who: str, kind: AutoTopUpKind) -> Act:
        """Return that a customer has the wallet filled up by itself."""
        is_monthly = kind is AutoTopUpKind.MONTHLY
        terms = AutoTopUpTerms(
            kind,
            2_500 * self._unit,
            _METHOD,
            "pm_demo",
            threshold_minor=None if is_monthly else 900_000 * self._unit,
            day_of_month=1 if is_monthly else None,
        )

        async def act(writer: Writer, key: str, now: datetime) -> object:
            ref = WalletRef(external_id=who)
            ruled = await auto_top_ups.set_rule(writer, _self(who), ref, terms, self._currency.code, key)
            for due in await auto_top_ups.due(now, 10):
                # The wallet is below the threshold: the store is asked to charge at once.
                await auto_top_ups.ask(writer, due.what)
            return ruled

        return act
