"""One batch: what is loaded for many commands, decided one after the other, and written by a few statements."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson

from app.domain.cashback.award import Award
from app.domain.cashback.earning import CashbackTotal, CustomerHistory, Earning
from app.domain.cashback.evaluation import RuleBook
from app.domain.cashback.expression import Expressions
from app.domain.cashback.posting import pay_debts
from app.domain.cashback.rule import TriggerKind
from app.domain.customer import Customer
from app.domain.errors import IdempotencyKeyReused, NotFound
from app.domain.event_catalogue import EventType
from app.domain.ledger import (
    Desk,
    Draft,
    LoadedRows,
    Lot,
    Mint,
    Row,
    Standing,
    Wallet,
    WalletChange,
    WalletState,
)
from app.domain.order import Order
from app.domain.outgoing import Happened, Heard, events_of
from app.domain.payment import Payment
from app.domain.settings import SettingsChange, StoreSettings
from app.domain.top_up import TopUp
from app.domain.top_up_intent import RECENT
from app.domain.webhook_endpoint import listens
from app.domain.withdrawal import Withdrawal
from app.services.ledger import cashback, records, tables, withdrawals
from app.services.ledger.bulk import allocation_rows
from app.services.ledger.cashback import KnownRules
from app.services.ledger.command import (
    Command,
    DeskCommand,
    IdempotencyClaim,
    Outcome,
    Stored,
    WalletRef,
    Writes,
)
from app.services.ledger.store import Found, Session, TableWrite

LOTS_MAX = 262_144
"""Open lots of wallets whose state is kept, in all: some 100 MB. Fewer would have busy wallets with
many lots read anew each time."""

NOTIFY_WALLETS_MAX = 80
"""Wallets named in one notification: PostgreSQL takes 8,000 bytes at most."""

_CORRECTABLE = """
SELECT t.id, t.wallet_id, t.amount_minor, (
  SELECT COALESCE(SUM(c.amount_minor), 0) FROM transactions c
  WHERE c.corrects_id = t.id AND c.wallet_id = t.wallet_id
) AS corrected_minor
FROM transactions t WHERE t.id IN {ids}
"""

Answer = Outcome | Exception


def _time(value: Any) -> datetime | None:
    return None if value is None else records.read_time(value)


class FaultyWallet(Exception):
    """What is stored of a wallet contradicts itself; it posts nothing until `verify` was consulted."""


class Known:
    """What is kept from batch to batch, and used again only while what is stored has the same version of the same time.

    At most `wallets_max` wallets are, with `lots_max` open lots in all: a wallet may have thousands. Those that were not used
    for longest go first.
    """

    def __init__(
        self, wallets_max: int, *, lots_max: int = LOTS_MAX, expressions: Expressions | None = None
    ) -> None:
        self.settings_version = 0
        self.settings_at: datetime | None = None
        self.settings = StoreSettings()
        self.rules = KnownRules(expressions)
        self._heard: tuple[str | None, frozenset[str]] = (None, frozenset())
        self._wallets_max = wallets_max
        self._lots_max = lots_max
        self._states: OrderedDict[UUID, WalletState] = OrderedDict()
        self._lots: dict[UUID, int] = {}
        """How many open lots a state had when it was kept: it may have others by now."""
        self._lots_kept = 0
        self._ids: dict[UUID | str, UUID] = {}
        self.doubtful: set[UUID] = set()
        """Wallets that a statement may still be on its way to, whose connection was lost: it was to change them if they had
        the versions that were known."""
        self.is_commit_doubtful = False
        """Whether a COMMIT may still be on its way, whose connection was lost.

        Only a batch under the locks that waited for it (`Session.outlive`) knows that it is not. A statement without locks that
        succeeds says nothing of it: it works on wallets that are there, the COMMIT may have opened others, and one that
        changed others is locked by nobody. That costs the next batch under the locks one round trip.
        """

    def state(self, wallet_id: UUID, version: int, updated_at: datetime) -> WalletState | None:
        """Return the state of a wallet, if what is known has the version that was just read under its lock.

        That is the same number of the same time: where a change was lost (a replica took over that never had it, a backup
        was restored), the next one gets its number again.
        """
        state = self._states.get(wallet_id)
        if state is None or state.wallet.version != version or state.wallet.updated_at != updated_at:
            return None
        return state

    def assumed(self, ref: WalletRef) -> WalletState | None:
        """Return the state of the wallet that is meant as it was last seen, whatever became of it since."""
        wallet_id = self.wallet_id(ref)
        return None if wallet_id is None else self._states.get(wallet_id)

    def wallet_id(self, ref: WalletRef) -> UUID | None:
        """Return the id of the wallet that is meant, if it is known. A wallet and its customer never part."""
        return ref.wallet_id or self._ids.get(ref.customer_id or ref.external_id or "")

    def heard(self, listened: str | None) -> frozenset[str]:
        """Return the events that enabled endpoints listen to, given what each of them listens to as one JSON text."""
        if listened != self._heard[0]:
            patterns = [pattern for each in orjson.loads(listened or "[]") for pattern in each]
            self._heard = (listened, frozenset(name for name in EventType if listens(patterns, name)))
        return self._heard[1]

    @property
    def listened(self) -> tuple[str | None, frozenset[str]]:
        """What enabled endpoints listen to, as it was last read: as the JSON text, and the events."""
        return self._heard

    def keep(self, states: Iterable[WalletState]) -> None:
        """Remember states after their commit, dropping those that were not used for longest."""
        for state in states:
            state.settle()
            wallet_id, lots = state.wallet.id, len(state.lots)
            self._states[wallet_id] = state
            self._states.move_to_end(wallet_id)
            self._ids[state.customer.id] = self._ids[state.customer.external_id] = wallet_id
            self._lots_kept += lots - self._lots.get(wallet_id, 0)
            self._lots[wallet_id] = lots
            self.doubtful.discard(wallet_id)
        while len(self._states) > self._wallets_max or self._lots_kept > self._lots_max:
            self.forget((next(iter(self._states)),))

    def outdate(self, wallet_id: UUID, version: int) -> None:
        """Drop what is known of a wallet, if it is older than the version that the wallet has now."""
        state = self._states.get(wallet_id)
        if state is not None and state.wallet.version < version:
            self.forget((wallet_id,))

    def forget(self, wallet_ids: Iterable[UUID]) -> bool:
        """Drop states, such as those of wallets that a batch worked on and did not commit; tell whether any was known."""
        dropped = [
            state for wallet_id in wallet_ids if (state := self._states.pop(wallet_id, None)) is not None
        ]
        for state in dropped:
            self._lots_kept -= self._lots.pop(state.wallet.id)
            self._ids.pop(state.customer.id, None)
            self._ids.pop(state.customer.external_id, None)
        return bool(dropped)


class Batch:
    """The commands of one database transaction.

    `load` reads and locks, `decide` answers each command in turn, `save` writes what the accepted ones did.
    """

    def __init__(
        self,
        commands: Sequence[Command | DeskCommand],
        session: Session,
        *,
        clock: Callable[[], datetime],
        mint: Mint,
        currency: str,
        known: Known,
        process: str,
        also_heard: Heard | None = None,
    ) -> None:
        self._commands = commands
        self._process = process
        self._session = session
        self._clock = clock
        self._mint = mint
        self._currency = currency
        self._known = known
        self._heard: frozenset[str] = frozenset()
        self._also_heard = also_heard
        # Taken again once the locks are ours: time spent waiting for them has passed for everybody.
        self._now = clock()
        self._states: dict[UUID, WalletState] = {}
        self._by_customer: dict[UUID, WalletState] = {}
        self._by_external: dict[str, WalletState] = {}
        self._bare_customers: dict[UUID | str, Customer] = {}
        self._tables: dict[type[Row], dict[UUID, Row]] = {}
        self._loaded = LoadedRows()
        self._stored: set[UUID] = set()
        self._claims: dict[tuple[str, str], Stored] = {}
        self._correctable: dict[UUID, Standing] = {}
        self._settings = StoreSettings()
        self._settings_version = 0
        self._book: RuleBook | None = None
        self._fresh: set[UUID] = set()
        self._first_sequence: dict[UUID, int] = {}
        self.writes = Writes()
        self.changes: list[WalletChange] = []
        self.answers: list[Answer] = []

    @property
    def wallet_ids(self) -> list[UUID]:
        """The wallets that the batch worked on."""
        return list(self._states)

    @property
    def changes_rights(self) -> bool:
        """Whether the batch changes who may do what."""
        return any(type(row) in tables.RIGHTS for row in self.writes.rows.values())

    @property
    def has_outgoing(self) -> bool:
        """Whether anything is to leave the program."""
        return any(type(row) in tables.OUTGOING for row in self.writes.rows.values())

    @property
    def states(self) -> list[WalletState]:
        """What the batch knows of its wallets; true only once it is committed."""
        return list(self._states.values())

    # --- load -----------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Lock the wallets, then read all that the decisions need."""
        commands = [command for command in self._commands if isinstance(command, Command)]
        if self._known.is_commit_doubtful:
            # Wallets that it changed are locked until it is done. Those that it opened are not there yet, and may not be
            # decided on as if they never were.
            await self._session.outlive(self._process)
        ids = await self._find_wallets(commands)
        if ids and not await self._lock(ids):
            ids = await self._find_wallets(commands)
            await self._lock(ids)
        await self._load_lots()
        await self._load_named()
        await self._load_paid_in(commands)
        await self._load_holds({hold_id for command in commands for hold_id in command.holds})
        await self._load_tables()
        # Claims are read after the locks: whoever held a wallet with the same key before us has committed.
        versions = await self._load_claims()
        await self._load_settings(versions["version"] or 0, _time(versions["set_at"]))
        await self._load_cashback(commands, (versions["revision"] or 0, _time(versions["revised_at"])))
        await self._load_withdrawals(commands)
        await self._load_corrections(commands)
        self._now = self._clock()

    async def _find_wallets(self, commands: Sequence[Command]) -> set[UUID]:
        found: set[UUID] = set()
        by_customer: set[UUID] = set()
        by_external: set[str] = set()
        for command in commands:
            ref = command.wallet
            if wallet_id := self._known.wallet_id(ref):
                found.add(wallet_id)
            elif ref.customer_id:
                by_customer.add(ref.customer_id)
            elif ref.external_id:
                by_external.add(ref.external_id)
        rows: list[Any] = []
        sql = "SELECT c.*, w.id AS wallet_id FROM customers c LEFT JOIN wallets w ON w.customer_id = c.id WHERE "
        if by_customer:
            rows += await self._session.select(sql + "c.id IN {ids}", by_customer)
        if by_external:
            rows += await self._session.select(sql + "c.external_id IN {ids}", by_external, "text")
        for row in rows:
            if row["wallet_id"] is not None:
                found.add(records.read_uuid(row["wallet_id"]))
            else:
                customer = records.read_customer(row)
                self._bare_customers[customer.id] = self._bare_customers[customer.external_id] = customer
        return found

    async def _lock(self, ids: set[UUID]) -> bool:
        """Lock wallets and take in what is known of them, or read it; tell whether those that are known were there.

        One that isn't was lost by the database, and may have been opened anew.
        """
        if doubtful := ids & self._known.doubtful:
            await self._session.lock_wallets(ids)
            await self._session.outdate(doubtful)
        rows = await self._session.lock_wallets(ids)
        if len(rows) < len(ids) and self._known.forget(
            ids.difference(records.read_uuid(row["id"]) for row in rows)
        ):
            return False
        fresh: dict[UUID, Wallet] = {}
        for row in rows:
            updated_at = records.read_time(row["updated_at"])
            state = self._known.state(records.read_uuid(row["id"]), row["version"], updated_at)
            if state is not None:
                self._enter(state)
            else:
                wallet = records.read_wallet(row)
                fresh[wallet.customer_id] = wallet
        if fresh:
            # Read under the lock: what was read before it may have changed while we waited.
            for row in await self._session.select("SELECT * FROM customers WHERE id IN {ids}", fresh):
                customer = records.read_customer(row)
                self._enter(WalletState(fresh[customer.id], customer))
        self._fresh = {wallet.id for wallet in fresh.values()}
        return True

    def _enter(self, state: WalletState) -> None:
        self._states[state.wallet.id] = state
        self._by_customer[state.customer.id] = state
        self._by_external[state.customer.external_id] = state

    async def _load_lots(self) -> None:
        if not self._fresh:
            return
        rows = await self._session.select(
            "SELECT * FROM lots WHERE wallet_id IN {ids} AND (remaining_minor > 0 OR held_minor > 0)",
            self._fresh,
        )
        lots: dict[UUID, list[Any]] = {}
        for row in rows:
            lot = records.read_lot(row)
            lots.setdefault(lot.wallet_id, []).append(lot)
        for wallet_id in self._fresh:
            state = self._states[wallet_id]
            loaded = WalletState(state.wallet, state.customer, lots=lots.get(wallet_id, ()))
            if fault := loaded.fault():
                raise FaultyWallet(f"wallet {wallet_id}: {fault}")
            self._enter(loaded)

    async def _load_named(self) -> None:
        """Read the rows beside the ledger that commands name, and with an order what belongs to it."""
        named: dict[type[Row], set[UUID]] = {}
        for command in self._commands:
            for kind, row_id in command.rows:
                named.setdefault(kind, set()).add(row_id)
        # Locked after the wallets, table by table and in id order: the same order in every process.
        for kind, table in tables.BESIDE.items():
            if kind in named:
                self._keep_loaded(kind, await self._session.lock_rows(table, named[kind]))
        orders = {row.id for row in self._loaded.values() if isinstance(row, Order)}
        if orders:
            for kind in tables.OF_ORDERS:
                sql = f"SELECT * FROM {tables.BESIDE[kind].name} WHERE order_id IN {{ids}}"
                self._keep_loaded(kind, await self._session.select(sql, orders))

    async def _load_paid_in(self, commands: Sequence[Command]) -> None:
        """Read what counts against the limits of top-ups: what was paid in of late, and what is under way."""
        wanted = (self._known_state(command) for command in commands if command.tops_up)
        ids = {state.wallet.id for state in wanted if state is not None}
        if not ids:
            return
        since = (self._clock() - RECENT).isoformat(sep=" ")
        for kind, condition in tables.PAID_IN.items():
            sql = f"SELECT * FROM {tables.BESIDE[kind].name} WHERE wallet_id IN {{ids}} AND {condition}"
            self._keep_loaded(kind, await self._session.select(sql.replace("{since}", f"'{since}'"), ids))

    def _keep_loaded(self, kind: type[Row], found: Found) -> None:
        for row in found:
            record = records.READERS[kind](row)
            self._loaded.put(record)
            self._stored.add(record.id)

    async def _load_holds(self, ids: set[UUID]) -> None:
        """Read the holds that are named, or that belong to payments, and the lots that they stand on."""
        ids = ids | {row.hold_id for row in self._loaded.values() if isinstance(row, Payment)}
        if not ids:
            return
        for row in await self._session.select("SELECT * FROM holds WHERE id IN {ids}", ids):
            hold = records.read_hold(row)
            if (state := self._states.get(hold.wallet_id)) is not None:
                state.holds[hold.id] = hold
                state.reservations[hold.id] = ()
        sql = "SELECT r.*, h.wallet_id FROM reservations r JOIN holds h ON h.id = r.hold_id WHERE r.hold_id IN {ids}"
        missing: set[UUID] = set()
        is_open = {lot.id for state in self._states.values() if state.holds for lot in state.lots}
        for row in await self._session.select(sql + " ORDER BY r.hold_id, r.position", ids):
            reservation = records.read_reservation(row)
            if (state := self._states.get(records.read_uuid(row["wallet_id"]))) is not None:
                state.reservations[reservation.hold_id] += (reservation,)
                if reservation.spent_minor and reservation.lot_id not in is_open:
                    missing.add(reservation.lot_id)
        if missing:
            for row in await self._session.select("SELECT * FROM lots WHERE id IN {ids}", missing):
                lot = records.read_lot(row)
                self._states[lot.wallet_id].closed[lot.id] = lot

    async def _load_tables(self) -> None:
        """Read the small tables that desk commands ask for, after the wallets: the same order in every process."""
        wanted = {
            kind for command in self._commands if isinstance(command, DeskCommand) for kind in command.tables
        }
        for kind, table in tables.BESIDE.items():
            if kind in wanted:
                found = [records.READERS[kind](row) for row in await self._session.lock_table(table)]
                self._tables[kind] = {record.id: record for record in found}
                self._stored.update(self._tables[kind])

    async def _load_claims(self) -> Mapping[str, Any]:
        """Read what is stored of the batch's keys; return the versions of the settings and of the rules in force."""
        keys = {(command.claim.scope, command.claim.key) for command in self._commands if command.claim}
        rows = await self._session.claims(keys, self._process)
        for row in rows:
            if row["key"] is not None:
                stored = Stored(bytes(row["request_hash"]), records.read_json(row["result"]))
                self._claims[row["scope"], row["key"]] = stored
        self._heard = self._known.heard(rows[0]["heard"])
        return rows[0]

    async def _load_settings(self, version: int, at: datetime | None) -> None:
        known = self._known
        if (version, at) != (known.settings_version, known.settings_at):
            rows = await self._session.select(
                "SELECT data FROM settings_versions WHERE version IN {ids}", [version], "bigint"
            )
            # There is none where the database lost what was known.
            known.settings = (
                StoreSettings.from_data(records.read_json(rows[0]["data"])) if rows else StoreSettings()
            )
            known.settings_version, known.settings_at = version, at
        self._settings, self._settings_version = known.settings, version

    async def _load_cashback(
        self, commands: Sequence[Command], revision: tuple[int, datetime | None]
    ) -> None:
        """Read what awards are worked out from and settled with; what rules have given is locked last of all."""
        await self._load_awards()
        earning = [command for command in commands if command.earns]
        if earning:
            self._book = await self._known.rules.at(self._session, revision, self._settings.time_zone)
        await self._load_totals({trigger for command in earning for trigger in command.earns})
        await self._load_expired()
        await self._load_earnings(earning)

    async def _load_awards(self) -> None:
        """Read the awards that wallets still owe, and those that a named top-up may bring again."""
        table = tables.BESIDE[Award].name
        owing = [state.wallet.id for state in self._states.values() if state.wallet.debt_minor]
        if owing:
            sql = f"SELECT * FROM {table} WHERE wallet_id IN {{ids}} AND debt_minor > 0"
            self._keep_loaded(Award, await self._session.select(sql, owing))
        keys = [row.occasion().key for row in self._loaded.values() if isinstance(row, TopUp)]
        if keys:
            sql = f"SELECT * FROM {table} WHERE occasion_key IN {{ids}} AND order_id IS NULL"
            self._keep_loaded(Award, await self._session.select(sql, keys, "text"))

    async def _load_totals(self, triggers: Iterable[TriggerKind]) -> None:
        totals = cashback.totals_of(self._book, triggers, self._loaded)
        if totals:
            found = await self._session.lock_rows(tables.BESIDE[CashbackTotal], totals)
            self._keep_loaded(CashbackTotal, found)

    async def _load_expired(self) -> None:
        awards = [row for row in self._loaded.values() if isinstance(row, Award)]
        for wallet_id, lots in (await cashback.expired(self._session, awards)).items():
            if wallet_id in self._states:
                self._states[wallet_id].expired = lots

    async def _load_earnings(self, earning: Sequence[Command]) -> None:
        if self._book is None:
            return
        ids = {state.wallet.id for state in map(self._known_state, earning) if state is not None}
        found = await cashback.earnings(self._session, self._book, ids, self._loaded)
        for wallet_id, known in found.items():
            self._states[wallet_id].earning = known

    async def _load_withdrawals(self, commands: Sequence[Command]) -> None:
        """Read what limits a new withdrawal, under the lock of its wallet: no other request can come between."""
        asking = [
            state for command in commands if command.withdraws and (state := self._known_state(command))
        ]
        if not asking:
            return
        terms, ids = self._settings.withdrawals, {state.wallet.id for state in asking}
        past = await withdrawals.asked(self._session, ids, terms, self._now)
        self._keep_loaded(
            Withdrawal, [row for row in past if records.read_uuid(row["id"]) not in self._loaded]
        )
        if terms.waiting_days:
            await withdrawals.mark_topped_up(self._session, asking)
        if terms.auto_approve_below_minor:
            await withdrawals.mark_signalled(self._session, asking)

    async def _load_corrections(self, commands: Sequence[Command]) -> None:
        """Read how transactions stand that are to be corrected, under the locks of their wallets, and whose they are."""
        correcting = [command for command in commands if command.corrects]
        if not correcting:
            return
        for row in await self._session.select(_CORRECTABLE, {command.corrects for command in correcting}):
            self._correctable[records.read_uuid(row["id"])] = Standing(
                records.read_uuid(row["wallet_id"]), row["amount_minor"], int(row["corrected_minor"])
            )
        for state in filter(None, map(self._known_state, correcting)):
            state.correctable = self._correctable

    # --- decide ---------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """Answer the commands in turn: each sees what those before it did, a refused one leaves no trace."""
        for command in self._commands:
            try:
                answer: Answer = self._answer(command)
            except Exception as error:
                # A defect of one command must not harm its neighbours: it is that caller's answer.
                answer = error
            self.answers.append(answer)

    def _answer(self, command: Command | DeskCommand) -> Outcome:
        claim = command.claim
        if claim is not None and (stored := self._claims.get((claim.scope, claim.key))) is not None:
            if stored.request_hash != claim.request_hash:
                raise IdempotencyKeyReused
            return Outcome(stored.result, replayed=True)
        if isinstance(command, DeskCommand):
            return self._at_desk(command)
        state = self._state_of(command)
        # A clock that goes back, or another machine's that is behind, must not put a wallet's history out of order.
        now = max(self._now, state.wallet.updated_at)
        draft = Draft(state, now=now, mint=self._mint, settings=self._settings, loaded=self._loaded)
        draft.expire_due()
        answer = command.decide(draft)
        if draft.wallet.debt_minor:
            pay_debts(draft)
        return self._accept(command, state, draft, answer)

    def _at_desk(self, command: DeskCommand) -> Outcome:
        desk = Desk(
            now=self._now,
            mint=self._mint,
            settings=self._settings,
            tables=self._tables,
            loaded=self._loaded,
        )
        answer = command.decide(desk)
        result = {} if answer is None else {type(answer).__name__: str(answer.id)}
        if desk.rows and self._is_heard:
            befores = self._befores(desk.rows)
            self._tell(Happened(desk.now, desk.rows, befores, self._settings))
        for row in desk.rows:
            self.writes.rows[row.id] = row
            self._loaded.put(row)
            if type(row) in self._tables:
                self._tables[type(row)][row.id] = row
            if isinstance(row, SettingsChange):
                self._settings = row.settings
        if desk.rows or not (command.claim and command.claim.is_own):
            self._claim(command.claim, command.name, result)
        return Outcome(result, answer=answer)

    def _known_state(self, command: Command) -> WalletState | None:
        ref = command.wallet
        if ref.wallet_id is not None:
            return self._states.get(ref.wallet_id)
        if ref.customer_id is not None:
            return self._by_customer.get(ref.customer_id)
        return None if ref.external_id is None else self._by_external.get(ref.external_id)

    def _state_of(self, command: Command) -> WalletState:
        ref, state = command.wallet, self._known_state(command)
        if state is not None:
            return state
        if ref.wallet_id is not None or not command.opens:
            raise NotFound("wallet", field=("wallet",))
        customer = self._bare_customers.get(ref.customer_id or ref.external_id or "")
        if customer is None:
            if ref.external_id is None:
                raise NotFound("customer", field=("wallet",))
            customer = Customer(self._mint.id(), ref.external_id, "", "", self._now, self._now)
        opened = WalletState.opened(self._mint.id(), customer, self._currency, self._now)
        opened.correctable = self._correctable
        if self._book is not None:
            opened.earning = Earning(self._book, history=CustomerHistory(), given={})
        return opened

    def _accept(self, command: Command, state: WalletState, draft: Draft, answer: Row | None) -> Outcome:
        wallet = draft.wallet
        # First of all: an answer that is no row fails here, before anything of its command is written.
        result = {"Wallet": str(wallet.id)}
        if answer is not None:
            result[type(answer).__name__] = str(answer.id)
        if self._is_heard:
            self._tell_of_wallet(state, draft)
        self._write_wallet(state, draft)
        self._write_movements(draft)
        self._write_beside(state, draft.rows)
        self._first_sequence.setdefault(wallet.id, state.wallet.sequence)
        changed = wallet.version != state.wallet.version or state.is_new
        follows = state.wallet.head_hash
        state.fold(draft)
        self._enter(state)
        if changed:
            self.changes.append(WalletChange(wallet, tuple(draft.transactions), follows))
        if changed or draft.rows or not (command.claim and command.claim.is_own):
            self._claim(command.claim, command.name, result)
        return Outcome(result, wallet=wallet, customer=draft.customer, answer=answer)

    def _write_movements(self, draft: Draft) -> None:
        writes = self.writes
        writes.transactions += draft.transactions
        writes.lots.update(draft.lots)
        for hold_id, hold in draft.holds.items():
            writes.holds[hold_id] = hold
            for placed in enumerate(draft.reservations[hold_id]):
                writes.reservations[placed[1].id] = placed

    def _write_beside(self, state: WalletState, rows: Iterable[Row]) -> None:
        """Write rows beside the ledger; what of them is an award counts for what is earned next."""
        for row in rows:
            if isinstance(row, Award) and state.earning is not None:
                before = self._loaded.get(row.id)
                state.earning.count(before if isinstance(before, Award) else None, row)
            self.writes.rows[row.id] = row
            self._loaded.put(row)

    def _tell_of_wallet(self, state: WalletState, draft: Draft) -> None:
        opens = state.is_new and draft.wallet.id not in self._states
        is_known = not opens or draft.customer.id in self._bare_customers
        self._tell(
            Happened(
                draft.now,
                draft.rows,
                self._befores(draft.rows),
                self._settings,
                wallet=draft.wallet,
                wallet_before=None if opens else state.wallet,
                customer=draft.customer,
                customer_before=state.customer if is_known else None,
                transactions=tuple(draft.transactions),
            )
        )

    def _befores(self, rows: Iterable[Row]) -> dict[UUID, Row]:
        """Return the rows as the commands before left them, where they were there at all."""
        found = (
            (row.id, self._loaded.get(row.id) or self._tables.get(type(row), {}).get(row.id)) for row in rows
        )
        return {row_id: before for row_id, before in found if before is not None}

    @property
    def _is_heard(self) -> bool:
        """Whether anybody listens to anything."""
        return bool(self._heard) or self._also_heard is not None

    def _tell(self, happened: Happened) -> None:
        """Write down what somebody listens to, and nothing else: most of what happens is heard by nobody."""
        heard, also = self._heard, self._also_heard

        def is_heard(event_type: EventType, row: Row) -> bool:
            return event_type in heard or (also is not None and also(event_type, row))

        for event in events_of(happened, self._mint, is_heard):
            self.writes.rows[event.id] = event

    def _write_wallet(self, state: WalletState, draft: Draft) -> None:
        writes, wallet = self.writes, draft.wallet
        if state.is_new and wallet.id not in self._states:
            writes.new_wallets[wallet.id] = wallet
            if draft.customer.id not in self._bare_customers:
                writes.new_customers[draft.customer.id] = draft.customer
        if draft.customer != state.customer and draft.customer.id not in writes.new_customers:
            writes.customers[draft.customer.id] = draft.customer
        elif draft.customer.id in writes.new_customers:
            writes.new_customers[draft.customer.id] = draft.customer
        (writes.new_wallets if wallet.id in writes.new_wallets else writes.wallets)[wallet.id] = wallet

    def _claim(self, claim: IdempotencyClaim | None, command: str, result: dict[str, str]) -> None:
        if claim is not None:
            self._claims[claim.scope, claim.key] = Stored(claim.request_hash, result)
            self.writes.claims.append((claim, command, result))

    # --- save -----------------------------------------------------------------------------------------------

    async def save(self, notes: Sequence[str]) -> None:
        """Write what the accepted commands did, in one round trip, with notes for the database to tell at commit."""
        writes = self._all_writes()
        if writes:
            await self._session.write(writes, notes)

    def _all_writes(self) -> list[TableWrite]:
        return [write for write in self._table_writes() if write.rows]

    def _table_writes(self) -> Iterator[TableWrite]:
        """Tables and rows stand in one order everywhere, so that two processes wait for a new row in one order too."""
        writes, rows_of = self.writes, _rows_of
        new_customers = sorted(writes.new_customers.values(), key=lambda customer: customer.external_id)
        new_lots, old_lots = self._lots()
        claims = sorted(self._claim_rows(), key=lambda row: row[1:3])
        yield TableWrite("insert", tables.IDEMPOTENCY_KEYS, claims)
        yield TableWrite("insert", tables.CUSTOMERS, rows_of(tables.CUSTOMERS, new_customers))
        yield TableWrite("update", tables.CUSTOMERS, rows_of(tables.CUSTOMERS, writes.customers.values()))
        yield TableWrite("insert", tables.WALLETS, rows_of(tables.WALLETS, writes.new_wallets.values()))
        yield TableWrite("update", tables.WALLETS, rows_of(tables.WALLETS, writes.wallets.values()))
        # SQLite checks a reference with each row, so orders stand before the transactions that name them.
        beside = self._rows_beside()
        yield from self._writes_of(Order, beside.pop(Order, []))
        yield TableWrite("upsert", tables.HOLDS, rows_of(tables.HOLDS, writes.holds.values()))
        yield TableWrite("insert", tables.LOTS, rows_of(tables.LOTS, new_lots))
        yield TableWrite("update", tables.LOTS, rows_of(tables.LOTS, old_lots))
        reservations = rows_of(tables.RESERVATIONS, writes.reservations.values())
        yield TableWrite("upsert", tables.RESERVATIONS, reservations)
        yield TableWrite("insert", tables.TRANSACTIONS, rows_of(tables.TRANSACTIONS, writes.transactions))
        allocations = list(allocation_rows(writes.transactions, self._mint))
        yield TableWrite("insert", tables.ALLOCATIONS, allocations)
        yield from self._writes_beside(beside)

    def _lots(self) -> tuple[list[Lot], list[Lot]]:
        """Return the lots that this batch opened, whose sequence is above their wallet's before it, and the others."""
        before = self._first_sequence
        new = [lot for lot in self.writes.lots.values() if lot.sequence > before[lot.wallet_id]]
        old = [lot for lot in self.writes.lots.values() if lot.sequence <= before[lot.wallet_id]]
        return new, old

    def _rows_beside(self) -> dict[type[Any], list[Any]]:
        by_kind: dict[type[Any], list[Any]] = {}
        for row in self.writes.rows.values():
            by_kind.setdefault(type(row), []).append(row)
        return by_kind

    def _writes_beside(self, by_kind: dict[type[Any], list[Any]]) -> Iterator[TableWrite]:
        changes = by_kind.pop(SettingsChange, [])
        yield TableWrite("insert", tables.SETTINGS_VERSIONS, list(self._settings_rows(changes)))
        for kind in tables.BESIDE:
            yield from self._writes_of(kind, by_kind.pop(kind, []))
        if by_kind:
            raise TypeError(f"no table for {', '.join(kind.__name__ for kind in by_kind)}")

    def _writes_of(self, kind: type[Any], rows: Iterable[Any]) -> Iterator[TableWrite]:
        """What was read is changed; all else is new, and where another process was quicker the insert fails."""
        table = tables.BESIDE[kind]
        # Sorted as the locks are: two that insert the same rows wait for each other, and don't end in a deadlock.
        new = sorted((row for row in rows if row.id not in self._stored), key=attrgetter("id"))
        yield TableWrite("insert", table, _rows_of(table, new))
        yield TableWrite("update", table, _rows_of(table, [row for row in rows if row.id in self._stored]))

    def _settings_rows(self, changes: list[SettingsChange]) -> Iterable[tuple[Any, ...]]:
        for version, change in enumerate(changes, self._settings_version + 1):
            data = json.dumps(change.settings.as_data())
            yield (version, data, str(change.actor.kind), change.actor.id, change.note, change.created_at)

    def _claim_rows(self) -> Iterable[tuple[Any, ...]]:
        for claim, command, result in self.writes.claims:
            text = orjson.dumps(result).decode()
            yield (self._mint.id(), claim.scope, claim.key, command, claim.request_hash, text, self._now)

    def notes(self) -> list[str]:
        """Say what other processes are to know once this is committed."""
        latest = {change.wallet.id: change.wallet for change in self.changes}
        told = [
            [str(wallet.id), self._first_sequence[wallet.id], wallet.sequence, wallet.version]
            for wallet in latest.values()
        ]
        payloads = [
            orjson.dumps(
                {"process": self._process, "wallets": told[start : start + NOTIFY_WALLETS_MAX]}
            ).decode()
            for start in range(0, len(told), NOTIFY_WALLETS_MAX)
        ]
        if self.changes_rights:
            payloads.append(orjson.dumps({"process": self._process, "wallets": [], "rights": True}).decode())
        return payloads


def _rows_of(table: tables.Table, found: Iterable[Any]) -> list[tuple[Any, ...]]:
    return [table.row(record) for record in found]
