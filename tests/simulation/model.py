"""A wallet as a child would keep it: every minor unit is a coin of its own, and debts are counted on fingers.

The model predicts every answer of the ledger. It is slow, has no lots, no drafts and no batches, and shares no
line with the program.
"""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BUCKETS = ("PROMO", "GIFT_CARD", "CASH")  # in the order in which they are spent
NEVER = datetime.max.replace(tzinfo=UTC)
GRACE = timedelta(days=7)


class Refused(Exception):
    """The ledger will say no, with this code; `available` is what it will say is there."""

    def __init__(self, code: str, available: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.available = available


@dataclass
class Coin:
    """One minor unit: when it expires, what it is, which transaction brought it, which hold it lies in."""

    expires: datetime
    bucket: str
    born: int
    hold: int | None = None

    def turn(self) -> tuple[datetime, int, int]:
        """When it is its turn to be spent."""
        return (self.expires, BUCKETS.index(self.bucket), self.born)


@dataclass
class Purse:
    """One customer's wallet."""

    updated: datetime
    coins: list[Coin] = field(default_factory=list)
    debt: int = 0
    frozen: bool = False
    sequence: int = 0
    grace: dict[int, datetime] = field(default_factory=dict)
    """Until when coins can be spent that came back late, by the transaction that had brought them."""

    @property
    def held(self) -> int:
        return sum(coin.hold is not None for coin in self.coins)

    @property
    def posted(self) -> int:
        return len(self.coins) - self.debt

    @property
    def available(self) -> int:
        return self.posted - self.held

    def withdrawable(self, now: datetime) -> int:
        return max(0, min(len(self.free(now, ("CASH",))), self.available))

    def free(self, now: datetime, buckets: tuple[str, ...] = BUCKETS) -> list[Coin]:
        """Coins that can be spent now, the next one first."""
        coins = [coin for coin in self.coins if coin.hold is None and self.end(coin) > now]
        return sorted((coin for coin in coins if coin.bucket in buckets), key=Coin.turn)

    def lots(self) -> dict[int, tuple[int, int]]:
        """What the lots must say: free and held coins by the transaction that brought them."""
        free = Counter(coin.born for coin in self.coins if coin.hold is None)
        held = Counter(coin.born for coin in self.coins if coin.hold is not None)
        return {born: (free[born], held[born]) for born in free | held}

    def expire(self, now: datetime) -> None:
        gone = [coin for coin in self.coins if coin.hold is None and self.end(coin) <= now]
        self.sequence += len({coin.born for coin in gone})
        self.remove(gone)

    def end(self, coin: Coin) -> datetime:
        return self.grace.get(coin.born, coin.expires)

    def welcome(self, coins: list[Coin], now: datetime) -> None:
        """Coins are free again; those that came too late may stay for a while, with all that came with them once."""
        for coin in coins:
            coin.hold = None
            if coin.expires <= now:
                self.grace[coin.born] = max(now + GRACE, self.grace.get(coin.born, now))

    def remove(self, coins: list[Coin]) -> None:
        ids = {id(coin) for coin in coins}
        self.coins = [coin for coin in self.coins if id(coin) not in ids]


@dataclass
class HoldModel:
    """A hold: whose it is, and what became of it."""

    owner: str
    state: str = "OPEN"
    withdrawal: bool = False
    spent: list[Coin] = field(default_factory=list)


@dataclass
class Play:
    """One command, as both the model and the ledger are given it."""

    kind: str
    who: str
    args: tuple[object, ...] = ()
    key: str | None = None
    by: str = "external"
    hold: int | None = None

    @property
    def request(self) -> tuple[object, ...]:
        return (self.kind, self.by, self.who, self.args, self.hold)


@dataclass
class Model:
    """All that the ledger knows."""

    purses: dict[str, Purse] = field(default_factory=dict)
    keys: dict[str, tuple[object, ...]] = field(default_factory=dict)
    holds: list[HoldModel] = field(default_factory=list)
    limit: int = 0

    def play(self, play: Play, now: datetime) -> tuple[str, int | None]:
        """Predict the answer, and what a refusal says is available."""
        if play.key is not None and play.key in self.keys:
            return ("REPLAYED" if self.keys[play.key] == play.request else "IDEMPOTENCY_KEY_REUSED"), None
        before = deepcopy((self.purses, self.holds, self.limit))
        try:
            self._decide(play, now)
        except Refused as refused:
            self.purses, self.holds, self.limit = before
            return refused.code, refused.available
        if play.key is not None:
            self.keys[play.key] = play.request
        return "ACCEPTED", None

    def _decide(self, play: Play, now: datetime) -> None:
        if play.kind == "settings":
            (self.limit,) = play.args  # type: ignore[assignment]
            return
        if play.who not in self.purses:
            if play.kind not in ("credit", "debit") or play.by != "external":
                raise Refused("NOT_FOUND")
            self.purses[play.who] = Purse(now)
        purse = self.purses[play.who]
        now = max(now, purse.updated)
        before = deepcopy(purse)
        purse.expire(now)
        getattr(self, "_" + play.kind)(play, purse, now, *play.args)
        if purse != before:
            purse.updated = now

    def _credit(
        self, play: Play, purse: Purse, now: datetime, amount: int, bucket: str, expires: datetime | None
    ) -> None:
        if expires is not None and expires <= now:
            raise Refused("EXPIRY_IN_PAST")
        purse.sequence += 1
        for _ in range(amount):
            if purse.debt:
                purse.debt -= 1
            else:
                purse.coins.append(Coin(expires or NEVER, bucket, purse.sequence))

    def _debit(self, play: Play, purse: Purse, now: datetime, amount: int, bucket: str | None) -> None:
        limit = self.limit if bucket in (None, "CASH") else 0
        self._spend(purse, now, amount, (bucket,) if bucket else BUCKETS, limit)

    def _purchase(self, play: Play, purse: Purse, now: datetime, amount: int) -> None:
        self._spend(purse, now, amount, BUCKETS, 0)

    def _spend(self, purse: Purse, now: datetime, amount: int, buckets: tuple[str, ...], limit: int) -> None:
        coins = purse.free(now, buckets)

        def affordable(wanted: int) -> bool:
            debt = purse.debt + max(0, wanted - len(coins))
            return (debt <= limit or wanted <= len(coins)) and purse.available - wanted >= -limit

        if not affordable(amount):
            raise Refused("INSUFFICIENT_FUNDS", _most(affordable, amount))
        purse.remove(coins[:amount])
        purse.debt += amount - len(coins[:amount])
        purse.sequence += 1

    def _authorize(self, play: Play, purse: Purse, now: datetime, amount: int) -> None:
        self._reserve(play.who, purse, now, amount, BUCKETS)

    def _withdraw(self, play: Play, purse: Purse, now: datetime, amount: int) -> None:
        if purse.frozen:
            raise Refused("WALLET_FROZEN")
        self._reserve(play.who, purse, now, amount, ("CASH",))
        self.holds[-1].withdrawal = True

    def _reserve(self, who: str, purse: Purse, now: datetime, amount: int, buckets: tuple[str, ...]) -> None:
        coins = purse.free(now, buckets)

        def affordable(wanted: int) -> bool:
            return wanted <= len(coins) and wanted <= purse.available

        if not affordable(amount):
            raise Refused("INSUFFICIENT_FUNDS", _most(affordable, amount))
        self.holds.append(HoldModel(who))
        for coin in coins[:amount]:
            coin.hold = len(self.holds) - 1
        purse.updated = now

    def _named(self, play: Play) -> HoldModel:
        assert play.hold is not None
        hold = self.holds[play.hold]
        if hold.owner != play.who:
            raise Refused("NOT_FOUND")
        return hold

    def _capture(self, play: Play, purse: Purse, now: datetime, amount: int) -> None:
        hold = self._named(play)
        if hold.state != "OPEN":
            raise Refused("HOLD_NOT_OPEN")
        coins = sorted((coin for coin in purse.coins if coin.hold == play.hold), key=Coin.turn)
        if amount > len(coins):
            raise Refused("DEFECT")
        purse.remove(coins[:amount])
        hold.spent = sorted([*hold.spent, *coins[:amount]], key=Coin.turn)
        purse.sequence += 1
        if amount == len(coins):
            hold.state = "CAPTURED"

    def _un_spend(self, play: Play, purse: Purse, now: datetime, amount: int) -> None:
        hold = self._named(play)
        if amount > len(hold.spent):
            raise Refused("DEFECT")
        back, hold.spent = hold.spent[-amount:], hold.spent[:-amount]
        purse.coins += back
        purse.welcome(back, now)
        purse.sequence += 1

    def _void(self, play: Play, purse: Purse, now: datetime) -> None:
        hold = self._named(play)
        if hold.state != "OPEN":
            raise Refused("HOLD_NOT_OPEN")
        self._give_back(play, purse, now)

    def _lapse(self, play: Play, purse: Purse, now: datetime) -> None:
        self._void(play, purse, now)

    def _give_back(self, play: Play, purse: Purse, now: datetime) -> None:
        purse.welcome([coin for coin in purse.coins if coin.hold == play.hold], now)
        purse.updated = now
        assert play.hold is not None
        self.holds[play.hold].state = "OVER"

    def _decide_withdrawal(self, play: Play, purse: Purse, now: datetime, status: str) -> None:
        hold = self._named(play)
        if hold.state != "OPEN":
            raise Refused("WITHDRAWAL_NOT_OPEN")
        if status != "PAID":
            self._give_back(play, purse, now)
            return
        if purse.frozen:
            raise Refused("WALLET_FROZEN")
        purse.remove([coin for coin in purse.coins if coin.hold == play.hold])
        purse.sequence += 1
        hold.state = "CAPTURED"

    def _freeze(self, play: Play, purse: Purse, now: datetime) -> None:
        if purse.frozen:
            raise Refused("WALLET_FROZEN")
        purse.frozen = True

    def _unfreeze(self, play: Play, purse: Purse, now: datetime) -> None:
        if not purse.frozen:
            raise Refused("WALLET_NOT_FROZEN")
        purse.frozen = False

    def _touch(self, play: Play, purse: Purse, now: datetime) -> None:
        """A command that does nothing of its own."""


def _most(affordable: object, below: int) -> int:
    """The largest amount that would have been accepted, by trying them all."""
    assert callable(affordable)
    return max((amount for amount in range(1, below) if affordable(amount)), default=0)
