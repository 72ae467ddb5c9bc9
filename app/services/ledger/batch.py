"""One batch: what is loaded for many commands, decided one after the other, and written by a few statements."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from app.domain.customer import Customer
from app.domain.errors import IdempotencyKeyReused, NotFound
from app.domain.ledger import Desk, Draft, Mint, Row, Wallet, WalletChange, WalletState
from app.domain.settings import SettingsChange, StoreSettings
from app.services.ledger import records, tables
from app.services.ledger.command import (
    Command,
    DeskCommand,
    IdempotencyClaim,
    Outcome,
    Stored,
    WalletRef,
    Writes,
)
from app.services.ledger.store import Session

NOTIFY_WALLETS_MAX = 80
"""Wallets named in one notification: PostgreSQL takes 8,000 bytes at most."""

Answer = Outcome | Exception


class FaultyWallet(Exception):
    """What is stored of a wallet contradicts itself; it posts nothing until `verify` was consulted."""


@dataclass(slots=True)
class Known:
    """States kept from earlier batches; one is used again only while the stored version is the same."""

    size_max: int
    states: dict[UUID, WalletState] = field(default_factory=dict)

    def keep(self, states: Iterable[WalletState]) -> None:
        """Remember states after their commit, dropping those that were not used for longest."""
        for state in states:
            state.settle()
            self.states.pop(state.wallet.id, None)
            self.states[state.wallet.id] = state
        while len(self.states) > self.size_max:
            del self.states[next(iter(self.states))]

    def forget(self, wallet_ids: Iterable[UUID]) -> None:
        """Drop states that a batch worked on and did not commit."""
        for wallet_id in wallet_ids:
            self.states.pop(wallet_id, None)


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
    ) -> None:
        self._commands = commands
        self._session = session
        self._clock = clock
        self._mint = mint
        self._currency = currency
        self._known = known
        # Taken again once the locks are ours: time spent waiting for them has passed for everybody.
        self._now = clock()
        self._states: dict[UUID, WalletState] = {}
        self._by_customer: dict[UUID, WalletState] = {}
        self._by_external: dict[str, WalletState] = {}
        self._bare_customers: dict[UUID | str, Customer] = {}
        self._claims: dict[tuple[str, str], Stored] = {}
        self._settings = StoreSettings()
        self._settings_version = 0
        self._first_sequence: dict[UUID, int] = {}
        self.writes = Writes()
        self.changes: list[WalletChange] = []
        self.answers: list[Answer] = []

    @property
    def wallet_ids(self) -> list[UUID]:
        """The wallets that the batch worked on."""
        return list(self._states)

    @property
    def states(self) -> list[WalletState]:
        """What the batch knows of its wallets; true only once it is committed."""
        return list(self._states.values())

    # --- load -----------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Lock the wallets, then read all that the decisions need."""
        commands = [command for command in self._commands if isinstance(command, Command)]
        ids = {command.wallet.wallet_id for command in commands if command.wallet.wallet_id}
        ids |= await self._find_wallets([command.wallet for command in commands])
        if ids:
            await self._lock(ids)
            await self._load_lots()
            await self._load_named(commands)
        # Claims are read after the locks: whoever held a wallet with the same key before us has committed.
        await self._load_claims()
        await self._load_settings()
        self._now = self._clock()

    async def _find_wallets(self, refs: list[WalletRef]) -> set[UUID]:
        by_customer = {ref.customer_id for ref in refs if ref.customer_id}
        by_external = {ref.external_id for ref in refs if ref.external_id}
        rows: list[Any] = []
        sql = "SELECT c.*, w.id AS wallet_id FROM customers c LEFT JOIN wallets w ON w.customer_id = c.id WHERE "
        if by_customer:
            rows += await self._session.select(sql + "c.id IN {ids}", by_customer)
        if by_external:
            rows += await self._session.select(sql + "c.external_id IN {ids}", by_external, "text")
        found = set()
        for row in rows:
            if row["wallet_id"] is not None:
                found.add(records.read_uuid(row["wallet_id"]))
            else:
                customer = records.read_customer(row)
                self._bare_customers[customer.id] = self._bare_customers[customer.external_id] = customer
        return found

    async def _lock(self, ids: set[UUID]) -> None:
        fresh: dict[UUID, Wallet] = {}
        for row in await self._session.lock_wallets(ids):
            wallet = records.read_wallet(row)
            state = self._known.states.get(wallet.id)
            if state is not None and state.wallet.version == wallet.version:
                self._enter(state)
            else:
                fresh[wallet.customer_id] = wallet
        if fresh:
            # Read under the lock: what was read before it may have changed while we waited.
            for row in await self._session.select("SELECT * FROM customers WHERE id IN {ids}", fresh):
                customer = records.read_customer(row)
                self._enter(WalletState(fresh[customer.id], customer))

    def _enter(self, state: WalletState) -> None:
        self._states[state.wallet.id] = state
        self._by_customer[state.customer.id] = state
        self._by_external[state.customer.external_id] = state

    async def _load_lots(self) -> None:
        fresh = {state.wallet.id for state in self._states.values() if not self._is_known(state)}
        if not fresh:
            return
        rows = await self._session.select(
            "SELECT * FROM lots WHERE wallet_id IN {ids} AND (remaining_minor > 0 OR held_minor > 0)", fresh
        )
        lots: dict[UUID, list[Any]] = {}
        for row in rows:
            lot = records.read_lot(row)
            lots.setdefault(lot.wallet_id, []).append(lot)
        for wallet_id in fresh:
            state = self._states[wallet_id]
            loaded = WalletState(state.wallet, state.customer, lots=lots.get(wallet_id, ()))
            if fault := loaded.fault():
                raise FaultyWallet(f"wallet {wallet_id}: {fault}")
            self._enter(loaded)

    def _is_known(self, state: WalletState) -> bool:
        return self._known.states.get(state.wallet.id) is state

    async def _load_named(self, commands: list[Command]) -> None:
        hold_ids = {hold_id for command in commands for hold_id in command.holds}
        if hold_ids:
            await self._load_holds(hold_ids)
        named: dict[type[Row], set[UUID]] = {}
        for command in commands:
            for kind, row_id in command.rows:
                named.setdefault(kind, set()).add(row_id)
        for kind, ids in named.items():
            rows = await self._session.select(
                f"SELECT * FROM {tables.BESIDE[kind].name} WHERE id IN {{ids}}", ids
            )
            for row in rows:
                state = self._states.get(records.read_uuid(row["wallet_id"]))
                if state is not None:
                    record = records.READERS[kind](row)
                    state.rows[record.id] = record

    async def _load_holds(self, ids: set[UUID]) -> None:
        for row in await self._session.select("SELECT * FROM holds WHERE id IN {ids}", ids):
            hold = records.read_hold(row)
            if (state := self._states.get(hold.wallet_id)) is not None:
                state.holds[hold.id] = hold
                state.reservations[hold.id] = ()
        sql = "SELECT r.*, h.wallet_id FROM reservations r JOIN holds h ON h.id = r.hold_id WHERE r.hold_id IN {ids}"
        for row in await self._session.select(sql + " ORDER BY r.hold_id, r.position", ids):
            reservation = records.read_reservation(row)
            if (state := self._states.get(records.read_uuid(row["wallet_id"]))) is not None:
                state.reservations[reservation.hold_id] += (reservation,)

    async def _load_claims(self) -> None:
        keys = {command.claim.key for command in self._commands if command.claim}
        if not keys:
            return
        rows = await self._session.select(
            "SELECT scope, key, request_hash, result FROM idempotency_keys WHERE key IN {ids}", keys, "text"
        )
        for row in rows:
            stored = Stored(bytes(row["request_hash"]), records.read_json(row["result"]))
            self._claims[row["scope"], row["key"]] = stored

    async def _load_settings(self) -> None:
        rows = await self._session.select(
            "SELECT version, data FROM settings_versions "
            "WHERE version IN {ids} OR version = (SELECT max(version) FROM settings_versions)",
            [0],
            "bigint",
        )
        for row in rows:
            self._settings_version = row["version"]
            self._settings = StoreSettings.from_data(records.read_json(row["data"]))

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
        draft = Draft(state, now=now, mint=self._mint, settings=self._settings)
        draft.expire_due()
        answer = command.decide(draft)
        return self._accept(command, state, draft, answer)

    def _at_desk(self, command: DeskCommand) -> Outcome:
        desk = Desk(now=self._now, mint=self._mint, settings=self._settings)
        answer = command.decide(desk)
        result = {} if answer is None else {type(answer).__name__: str(answer.id)}
        for row in desk.rows:
            self.writes.rows[row.id] = row
            if isinstance(row, SettingsChange):
                self._settings = row.settings
        self._claim(command.claim, command.name, result)
        return Outcome(result, answer=answer)

    def _state_of(self, command: Command) -> WalletState:
        ref = command.wallet
        state = None
        if ref.wallet_id is not None:
            state = self._states.get(ref.wallet_id)
        elif ref.customer_id is not None:
            state = self._by_customer.get(ref.customer_id)
        elif ref.external_id is not None:
            state = self._by_external.get(ref.external_id)
        if state is not None:
            return state
        if ref.wallet_id is not None or not command.opens:
            raise NotFound("wallet", field=("wallet",))
        customer = self._bare_customers.get(ref.customer_id or ref.external_id or "")
        if customer is None:
            if ref.external_id is None:
                raise NotFound("customer", field=("wallet",))
            customer = Customer(self._mint.id(), ref.external_id, "", "", self._now, self._now)
        return WalletState.opened(self._mint.id(), customer, self._currency, self._now)

    def _accept(self, command: Command, state: WalletState, draft: Draft, answer: Row | None) -> Outcome:
        writes, wallet = self.writes, draft.wallet
        # First of all: an answer that is no row fails here, before anything of its command is written.
        result = {"Wallet": str(wallet.id)}
        if answer is not None:
            result[type(answer).__name__] = str(answer.id)
        if state.is_new and wallet.id not in self._states:
            writes.new_wallets[wallet.id] = wallet
            if draft.customer.id not in self._bare_customers:
                writes.new_customers[draft.customer.id] = draft.customer
        if draft.customer != state.customer and draft.customer.id not in writes.new_customers:
            writes.customers[draft.customer.id] = draft.customer
        elif draft.customer.id in writes.new_customers:
            writes.new_customers[draft.customer.id] = draft.customer
        (writes.new_wallets if wallet.id in writes.new_wallets else writes.wallets)[wallet.id] = wallet
        writes.transactions += draft.transactions
        writes.lots.update(draft.lots)
        self._first_sequence.setdefault(wallet.id, state.wallet.sequence)
        for hold_id, hold in draft.holds.items():
            writes.holds[hold_id] = hold
            for placed in enumerate(draft.reservations[hold_id]):
                writes.reservations[placed[1].id] = placed
        writes.rows.update((row.id, row) for row in draft.rows)
        changed = wallet.version != state.wallet.version or state.is_new
        state.fold(draft)
        self._enter(state)
        if changed:
            self.changes.append(WalletChange(wallet, tuple(draft.transactions)))
        if changed or draft.rows or not (command.claim and command.claim.is_own):
            self._claim(command.claim, command.name, result)
        return Outcome(result, wallet=wallet, customer=draft.customer, answer=answer)

    def _claim(self, claim: IdempotencyClaim | None, command: str, result: dict[str, str]) -> None:
        if claim is not None:
            self._claims[claim.scope, claim.key] = Stored(claim.request_hash, result)
            self.writes.claims.append((claim, command, result))

    # --- save -----------------------------------------------------------------------------------------------

    async def save(self, process: str) -> None:
        """Write what the accepted commands did: one statement a table, in one order everywhere."""
        writes, session = self.writes, self._session
        if writes.claims:
            await session.insert(
                tables.IDEMPOTENCY_KEYS, sorted(self._claim_rows(), key=lambda row: row[1:3])
            )
        if writes.new_customers:
            new = sorted(writes.new_customers.values(), key=lambda customer: customer.external_id)
            await session.insert(tables.CUSTOMERS, [tables.CUSTOMERS.row(customer) for customer in new])
        if writes.customers:
            await session.update(
                tables.CUSTOMERS, [tables.CUSTOMERS.row(c) for c in writes.customers.values()]
            )
        await self._save_wallets()
        if writes.holds:
            await session.upsert(tables.HOLDS, [tables.HOLDS.row(hold) for hold in writes.holds.values()])
        await self._save_lots()
        if writes.reservations:
            rows = [tables.RESERVATIONS.row(placed) for placed in writes.reservations.values()]
            await session.upsert(tables.RESERVATIONS, rows)
        if writes.transactions:
            await session.insert(
                tables.TRANSACTIONS, [tables.TRANSACTIONS.row(t) for t in writes.transactions]
            )
            await session.insert(tables.ALLOCATIONS, list(self._allocation_rows()))
        await self._save_rows()
        if self.changes:
            await session.notify(self._notifications(process))

    async def _save_wallets(self) -> None:
        writes, session = self.writes, self._session
        if writes.new_wallets:
            await session.insert(tables.WALLETS, [tables.WALLETS.row(w) for w in writes.new_wallets.values()])
        if writes.wallets:
            await session.update(tables.WALLETS, [tables.WALLETS.row(w) for w in writes.wallets.values()])

    async def _save_lots(self) -> None:
        # A lot that this batch opened has a sequence above that of its wallet before the batch.
        before = self._first_sequence
        new = [lot for lot in self.writes.lots.values() if lot.sequence > before[lot.wallet_id]]
        old = [lot for lot in self.writes.lots.values() if lot.sequence <= before[lot.wallet_id]]
        if new:
            await self._session.insert(tables.LOTS, [tables.LOTS.row(lot) for lot in new])
        if old:
            await self._session.update(tables.LOTS, [tables.LOTS.row(lot) for lot in old])

    async def _save_rows(self) -> None:
        by_kind: dict[type[Any], list[Any]] = {}
        for row in self.writes.rows.values():
            by_kind.setdefault(type(row), []).append(row)
        changes = by_kind.pop(SettingsChange, [])
        if changes:
            await self._session.insert(tables.SETTINGS_VERSIONS, list(self._settings_rows(changes)))
        for kind, rows in by_kind.items():
            table = tables.BESIDE[kind]
            await self._session.upsert(table, [table.row(row) for row in rows])

    def _settings_rows(self, changes: list[SettingsChange]) -> Iterable[tuple[Any, ...]]:
        for version, change in enumerate(changes, self._settings_version + 1):
            data = json.dumps(change.settings.as_data())
            yield (version, data, str(change.actor.kind), change.actor.id, change.note, change.created_at)

    def _claim_rows(self) -> Iterable[tuple[Any, ...]]:
        for claim, command, result in self.writes.claims:
            text = orjson.dumps(result).decode()
            yield (self._mint.id(), claim.scope, claim.key, command, claim.request_hash, text, self._now)

    def _allocation_rows(self) -> Iterable[tuple[Any, ...]]:
        for transaction in self.writes.transactions:
            for position, a in enumerate(transaction.allocations):
                yield (self._mint.id(), transaction.id, a.lot_id, position, str(a.bucket), a.amount_minor)

    def _notifications(self, process: str) -> list[str]:
        latest = {change.wallet.id: change.wallet for change in self.changes}
        told = [
            [str(wallet.id), self._first_sequence[wallet.id], wallet.sequence, wallet.version]
            for wallet in latest.values()
        ]
        return [
            orjson.dumps({"process": process, "wallets": told[start : start + NOTIFY_WALLETS_MAX]}).decode()
            for start in range(0, len(told), NOTIFY_WALLETS_MAX)
        ]
