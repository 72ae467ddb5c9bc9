"""What happens to whom, and when: one plot a customer, counted in days before the story's end."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from app.auth.gift_card import DEVELOPMENT_KEY, CodeKeys
from app.domain.access import Actor, ActorKind
from app.domain.adjustment import Adjustment, AdjustmentReason, Direction
from app.domain.bucket import Bucket
from app.domain.gift_card import CODE_BITS, code_of
from app.domain.ledger import SYSTEM, TransactionKind
from app.domain.withdrawal import WithdrawalStatus
from app.seed import awards, decisions
from app.seed.decisions import Decision, explained
from app.seed.people import DEMO_CUSTOMER, SEED, Person, people

DAYS = 400
SLOTS = 2
"""Times of a day at which things happen; what happens in one slot shares a batch, and so a time."""

STAFF = tuple(Actor(ActorKind.STAFF, name) for name in ("mira", "jonas", "aiko", "tomas"))
STOREFRONT = Actor(ActorKind.SERVICE, "storefront")
CAMPAIGNS = Actor(ActorKind.SERVICE, "campaigns")

_GOODS = (
    "linen shirt",
    "walking boots",
    "espresso cups",
    "desk lamp",
    "rain jacket",
    "wool blanket",
    "notebook set",
    "cast-iron pan",
    "headphones",
    "yoga mat",
    "backpack",
    "board game",
)
_CAMPAIGNS = (
    ("SPRING10", 1_000, 45),
    ("WELCOME5", 500, 30),
    ("BLACKWEEK20", 2_000, 21),
    ("BIRTHDAY15", 1_500, 60),
    ("COMEBACK8", 800, 90),
)
_CREDITS = (
    (
        AdjustmentReason.GOODWILL,
        (300, 1_500),
        "Parcel of order {order} arrived nine days late, apology agreed on the phone",
    ),
    (
        AdjustmentReason.DAMAGED_OR_MISSING,
        (800, 4_000),
        "{goods} of order {order} arrived broken, photo in the ticket, customer keeps it",
    ),
    (
        AdjustmentReason.PRICE_MATCH,
        (200, 1_800),
        "Price of {goods} in order {order} matched with the shop window of the same day",
    ),
    (
        AdjustmentReason.RETURN,
        (1_500, 6_000),
        "{goods} of order {order} came back unworn, customer asked for store credit",
    ),
    (
        AdjustmentReason.MIGRATION,
        (500, 3_000),
        "Balance of the old loyalty card {order} brought over, card scanned at the till",
    ),
)
_DEBITS = (
    (
        AdjustmentReason.CHARGEBACK,
        (1_000, 4_000),
        "Bank reversed the card payment behind the top-up, case {order}",
    ),
    (
        AdjustmentReason.ABUSE,
        (500, 1_500),
        "Welcome coupon used from three accounts at one address, case {order}",
    ),
    (
        AdjustmentReason.OTHER,
        (300, 900),
        "Customer paid the courier's duty of order {order} from the wallet, receipt filed",
    ),
)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens: `day` counts back from the end, `after` is the number of the event it refers to."""

    day: int
    slot: int
    number: int
    person: Person
    command: str
    actor: Actor
    decision: Decision
    after: int | None = None
    rows: awards.Named = ()

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"seed:{self.person.external_id}:{self.number}"


class Plot:
    """The events of one customer, made up from a chance of their own, so that no other customer's plot matters."""

    def __init__(self, person: Person, unit: int) -> None:
        self.person = person
        self.chance = Random(f"{SEED}:{person.external_id}")
        self.events: list[Event] = []
        self._unit = unit
        self._self = Actor(ActorKind.CUSTOMER, person.external_id)

    def minor(self, low: int, high: int) -> int:
        """Return an amount between two prices in hundredths; two in three are round."""
        amount = self.chance.randint(low, high)
        if self.chance.random() < 0.66:
            amount = max(100, amount // 100 * 100)
        return amount * self._unit

    def order(self) -> int:
        """Return the number of an order."""
        return self.chance.randint(20_000, 89_999)

    def goods(self) -> str:
        """Return what was bought."""
        return self.chance.choice(_GOODS)

    def staff(self) -> Actor:
        """Return who of the staff does it."""
        return self.chance.choice(STAFF)

    def happens(
        self,
        day: int,
        command: str,
        actor: Actor,
        decision: Decision,
        after: int | None = None,
        *,
        rows: awards.Named = (),
    ) -> int:
        """Write an event down and return its number; what lies beyond the story's end is left out."""
        number = len(self.events)
        slot = 0 if command == "registerCustomer" else self.chance.randrange(SLOTS)
        self.events.append(Event(day, slot, number, self.person, command, actor, decision, after, rows))
        return number

    # --- what happens ---------------------------------------------------------------------------------------

    def signs_up(self, day: int) -> None:
        """The customer registers."""
        self.happens(day, "registerCustomer", STOREFRONT, decisions.register(self.person))

    def tops_up(self, day: int, low: int = 1_000, high: int = 12_000) -> None:
        """The customer pays money in."""
        note = f"Top-up by card ending {self.chance.randint(1000, 9999)}"
        explanation = explained(TransactionKind.TOP_UP, self._self, note)
        self.happens(day, "topUp", self._self, decisions.credit(self.minor(low, high), explanation))

    def buys(self, day: int, low: int = 900, high: int = 7_000) -> None:
        """The customer pays an order; cashback comes after the return period, some goods come back."""
        order, goods = self.order(), self.goods()
        amount_minor = self.minor(low, high)
        explanation = explained(TransactionKind.PURCHASE, STOREFRONT, f"Order {order}: {goods}")
        number = self.happens(day, "purchase", STOREFRONT, decisions.purchase(amount_minor, explanation))
        fate = self.chance.random()
        if fate < 0.14:
            why = explained(
                TransactionKind.REFUND, STOREFRONT, f"Order {order} refunded: {goods} did not fit"
            )
            refund = decisions.credit(amount_minor, why)
            self.happens(day - self.chance.randint(3, 12), "refund", STOREFRONT, refund, after=number)
        elif fate < 0.6:
            self._earns_cashback(day, order, amount_minor, after=number)

    def _earns_cashback(self, day: int, order: int, amount_minor: int, *, after: int) -> None:
        """What was paid earns cashback at once, which is money when the return period is over, and expires."""
        earned = awards.earned(order, amount_minor, CAMPAIGNS)
        self.happens(day - 1, "awardCashback", CAMPAIGNS, earned, after, rows=awards.AWARDED)
        vested, rows = awards.vests(self.person.external_id, order)
        over = day - 2 - awards.RETURN_PERIOD_DAYS
        self.happens(over, "vestAward", SYSTEM, vested, after, rows=rows)
        self.time_passes(over - 1 - awards.LASTS_DAYS)

    def gets_promotion(self, day: int) -> None:
        """The store gives bonus money, which expires."""
        self.redeems_coupon(day, *self.chance.choice(_CAMPAIGNS))

    def redeems_coupon(self, day: int, campaign: str, amount: int, lasts_days: int) -> None:
        """Staff give bonus money of a campaign, as they did before there were coupons."""
        note, staff = f"Bonus of the campaign {campaign}, list of the newsletter", self.staff()
        bonus = Adjustment(
            Direction.CREDIT,
            amount * self._unit,
            AdjustmentReason.PROMOTION,
            note,
            staff,
            bucket=Bucket.PROMO,
        )
        self.happens(day, "adjustBalance", staff, decisions.bonus(bonus, lasts_days))
        self.time_passes(day - lasts_days - 1)

    def time_passes(self, day: int) -> None:
        """Nothing happens but time: a day later than value expires, it is past the very time of day."""
        self.happens(day, "expire", CAMPAIGNS, decisions.time_passes)

    def redeems_gift_card(self, day: int) -> None:
        """The customer redeems a gift card."""
        chance = Random(f"{SEED}:{self.person.external_id}:{day}:{self.chance.randint(1000, 9999)}")
        code = CodeKeys([DEVELOPMENT_KEY]).kept(code_of(chance.getrandbits(CODE_BITS)))
        amount_minor = self.chance.choice((1_500, 2_500, 5_000, 10_000)) * self._unit
        decision = decisions.redeem_gift_card(amount_minor, code, STOREFRONT, self._self)
        self.happens(day, "redeemGiftCard", self._self, decision)

    def is_adjusted(self, day: int) -> None:
        """Staff change the balance, mostly upwards."""
        direction = Direction.CREDIT if self.chance.random() < 0.8 else Direction.DEBIT
        reason, (low, high), text = self.chance.choice(_CREDITS if direction is Direction.CREDIT else _DEBITS)
        goods, staff = self.goods(), self.staff()
        note = text.format(order=self.order(), goods=goods)
        adjustment = Adjustment(direction, self.minor(low, high), reason, note[0].upper() + note[1:], staff)
        self.happens(day, "adjustBalance", staff, decisions.adjusted(adjustment))

    def is_adjusted_wrongly(self, day: int) -> None:
        """Staff type a digit too many, and put it right the next day by a correction that names the mistake."""
        order, right = self.order(), self.chance.randint(4, 12) * 100 * self._unit
        staff, colleague = self.chance.sample(STAFF, 2)
        note = f"Lid of the {self.goods()} in order {order} was missing, part of the price given back"
        wrong = Adjustment(Direction.CREDIT, right * 10, AdjustmentReason.DAMAGED_OR_MISSING, note, staff)
        number = self.happens(day, "adjustBalance", staff, decisions.adjusted(wrong))
        why = f"One zero too many for order {order}, found at the evening check, the difference goes back"
        correction = Adjustment(Direction.DEBIT, right * 9, AdjustmentReason.CORRECTION, why, colleague)
        self.happens(day - 1, "adjustBalance", colleague, decisions.adjusted(correction), after=number)

    def withdraws(self, day: int, status: WithdrawalStatus, low: int = 1_000, high: int = 6_000) -> None:
        """The customer asks to be paid out, and the request stays open or ends."""
        decision = decisions.request_withdrawal(
            self.minor(low, high), "To my bank account, please", self._self
        )
        number = self.happens(day, "requestWithdrawal", self._self, decision)
        for step in _WAYS[status]:
            day -= self.chance.randint(1, 2)
            actor = self._self if step is WithdrawalStatus.CANCELLED else self.staff()
            reference = (
                f"SEPA-{self.chance.randint(10**7, 10**8 - 1)}" if step is WithdrawalStatus.PAID else None
            )
            name, why = _STEPS[step]
            end = decisions.step_withdrawal(step, why, actor, payout_reference=reference)
            self.happens(day, name, actor, end, after=number)

    def is_frozen(self, day: int, *, thawed_on: int | None = None) -> None:
        """Staff stop the wallet, and perhaps let it go again."""
        staff = self.staff()
        why = (
            f"Four top-ups from four cards within an hour, waiting for the bank's answer, case {self.order()}"
        )
        self.happens(day, "freezeWallet", staff, decisions.freeze(why, staff))
        if thawed_on is not None:
            why = "Bank confirmed all four cards as the customer's own, family shares the account"
            self.happens(thawed_on, "unfreezeWallet", staff, decisions.unfreeze(why, staff))

    def spends_all(self, day: int) -> None:
        """The customer pays an order with all there is."""
        explanation = explained(
            TransactionKind.PURCHASE, STOREFRONT, f"Order {self.order()}: {self.goods()}, rest by card"
        )
        self.happens(day, "purchase", STOREFRONT, decisions.spend_all(explanation))

    def lives(self, start: int, end: int, gap_days: tuple[int, int]) -> None:
        """Ordinary life between two days, beginning with a top-up."""
        self.tops_up(start)
        day = start - self.chance.randint(*gap_days)
        ordinary: tuple[Callable[[int], None], ...] = (
            self.tops_up,
            self.buys,
            self.gets_promotion,
            self.redeems_gift_card,
            self.is_adjusted,
        )
        while day > end:
            (happens,) = self.chance.choices(ordinary, weights=(30, 42, 9, 7, 12))
            happens(day)
            day -= self.chance.randint(*gap_days)


# --- kinds of customers -------------------------------------------------------------------------------------


def _newcomer(plot: Plot) -> None:
    """Signed up, and never used the wallet."""
    plot.signs_up(plot.chance.randint(1, DAYS))


def _spender(plot: Plot) -> None:
    """Used the wallet, and is at zero now."""
    start = plot.chance.randint(60, DAYS)
    plot.signs_up(start)
    plot.tops_up(start - 1)
    plot.tops_up(start - 20)
    plot.spends_all(plot.chance.randint(2, start - 30))


def _sleeper(plot: Plot) -> None:
    """Has money in the wallet, and has not been seen for more than half a year."""
    start = plot.chance.randint(320, DAYS)
    plot.signs_up(start)
    # Nothing that reaches into the last months: no promotions, whose expiry would be posted then.
    for day in range(start - 1, 230, -plot.chance.randint(18, 40)):
        plot.tops_up(day)
        order = explained(TransactionKind.PURCHASE, STOREFRONT, f"Order {plot.order()}: {plot.goods()}")
        plot.happens(day - 7, "purchase", STOREFRONT, decisions.purchase(plot.minor(500, 3_000), order))
    plot.tops_up(225)


def _regular(plot: Plot) -> None:
    start = plot.chance.randint(40, DAYS)
    plot.signs_up(start)
    plot.lives(start - 1, 0, (9, 30))


def _loyal(plot: Plot) -> None:
    start = plot.chance.randint(300, DAYS)
    plot.signs_up(start)
    plot.lives(start - 1, 0, (4, 14))
    plot.is_adjusted_wrongly(plot.chance.randint(20, 200))


def _collector(plot: Plot) -> None:
    """Keeps a high balance."""
    start = plot.chance.randint(100, DAYS)
    plot.signs_up(start)
    for day in range(start - 1, 3, -plot.chance.randint(30, 60)):
        plot.tops_up(day, 40_000, 180_000)
        plot.buys(day - 2)


def _withdrawer(plot: Plot) -> None:
    """Is paid out now and then; each of them ends with another status."""
    start = plot.chance.randint(120, DAYS)
    plot.signs_up(start)
    plot.tops_up(start - 1, 8_000, 30_000)
    plot.lives(start - 10, 40, (10, 30))
    plot.withdraws(start - 15, WithdrawalStatus.PAID)
    plot.tops_up(30, 6_000, 12_000)
    plot.withdraws(plot.chance.randint(2, 4), plot.chance.choice(list(WithdrawalStatus)))


def _suspect(plot: Plot) -> None:
    """Is frozen, or was."""
    start = plot.chance.randint(60, 200)
    plot.signs_up(start)
    plot.lives(start - 1, 20, (6, 20))
    for _ in range(4):
        plot.tops_up(12, 5_000, 9_000)
    plot.is_frozen(11, thawed_on=6 if plot.chance.random() < 0.25 else None)


def _demo(plot: Plot) -> None:
    """The demo's customer, who has one of everything."""
    plot.signs_up(DAYS)
    plot.lives(DAYS - 2, 60, (5, 12))
    plot.withdraws(310, WithdrawalStatus.PAID)
    plot.withdraws(220, WithdrawalStatus.CANCELLED)
    plot.withdraws(140, WithdrawalStatus.REJECTED)
    plot.withdraws(100, WithdrawalStatus.FAILED)
    plot.withdraws(80, WithdrawalStatus.RETURNED)
    plot.tops_up(58, 15_000, 20_000)
    # Nothing is bought while it lasts, so that it expires.
    plot.redeems_coupon(56, "FLASH12", 1_200, 14)
    plot.redeems_gift_card(45)
    plot.is_adjusted_wrongly(32)
    plot.buys(26, 2_000, 4_000)
    plot.is_adjusted(15)
    plot.tops_up(9, 8_000, 9_000)
    plot.buys(7, 1_500, 3_500)
    # The last purchase is past: what came after it is still there, so that every kind of value shows.
    plot.redeems_gift_card(5)
    plot.gets_promotion(4)
    plot.withdraws(2, WithdrawalStatus.REQUESTED, 2_500, 2_500)


_S = WithdrawalStatus

_WAYS: dict[WithdrawalStatus, tuple[WithdrawalStatus, ...]] = {
    _S.REQUESTED: (),
    _S.IN_REVIEW: (_S.IN_REVIEW,),
    _S.APPROVED: (_S.APPROVED,),
    _S.PROCESSING: (_S.APPROVED, _S.PROCESSING),
    _S.PAID: (_S.APPROVED, _S.PROCESSING, _S.PAID),
    _S.FAILED: (_S.IN_REVIEW, _S.APPROVED, _S.PROCESSING, _S.FAILED),
    _S.RETURNED: (_S.APPROVED, _S.PROCESSING, _S.PAID, _S.RETURNED),
    _S.REJECTED: (_S.IN_REVIEW, _S.REJECTED),
    _S.CANCELLED: (_S.CANCELLED,),
}
"""By which steps a withdrawal comes to a status."""

_STEPS: dict[WithdrawalStatus, tuple[str, str | None]] = {
    _S.IN_REVIEW: ("reviewWithdrawal", "The name on the account is looked at"),
    _S.APPROVED: ("approveWithdrawal", None),
    _S.PROCESSING: ("markWithdrawalProcessing", "Sent with the morning's transfers"),
    _S.PAID: ("markWithdrawalPaid", None),
    _S.FAILED: (
        "markWithdrawalFailed",
        "The bank does not know this account, asked the customer for another one",
    ),
    _S.RETURNED: ("markWithdrawalReturned", "The account was closed, the bank sent the money back"),
    _S.REJECTED: (
        "rejectWithdrawal",
        "Name on the bank account differs from the customer's, asked for another account",
    ),
    _S.CANCELLED: ("cancelWithdrawal", None),
}
"""What a step is called, and what is said with it."""

_KINDS = (_newcomer, _spender, _sleeper, _regular, _loyal, _collector, _withdrawer, _suspect)
_WEIGHTS = (8, 11, 13, 36, 14, 5, 8, 5)


def unit_of(exponent: int) -> int:
    """Return what a hundredth is: prices are thought up as 25.00 dollars, which stay, 2500 yen or 25.000 dinars."""
    return int(10 ** max(0, exponent - 2))


def tell(exponent: int) -> list[Event]:
    """Return all events in the order in which they happen, with amounts for a currency of so many decimals."""
    unit = unit_of(exponent)
    events: list[Event] = []
    for person in people():
        plot = Plot(person, unit)
        kind = (
            _demo if person.external_id == DEMO_CUSTOMER else plot.chance.choices(_KINDS, weights=_WEIGHTS)[0]
        )
        kind(plot)
        events += [event for event in plot.events if event.day >= 0]
    return sorted(events, key=lambda event: (-event.day, event.slot, event.person.external_id, event.number))
