"""How far readings of the store's own records have come: one process at a time goes on with each."""

from datetime import timedelta
from typing import Any

from app.domain.access import Actor, ActorKind
from app.domain.ledger import Desk
from app.domain.sync import SyncCursor, cursor_id
from app.models.sync import SyncCursor as SyncCursorModel
from app.services.ledger.command import DeskCommand
from app.services.ledger.writer import Writer

READER = Actor(ActorKind.SYSTEM, "sync")


async def lease(writer: Writer, name: str, *, holder: str, lease_s: float) -> SyncCursor | None:
    """Take a reading for so long, or keep it; nothing while another holder has it.

    Raises `Overloaded`, `NotAccepting` or `LedgerUnavailable`.
    """

    def decide(desk: Desk) -> SyncCursor | None:
        known = desk.found(SyncCursor, cursor_id(name)) or SyncCursor.begun(name, desk.now)
        leased = known.leased(holder, desk.now, timedelta(seconds=lease_s))
        if leased is not None:
            desk.add(leased)
        return leased

    return await _submit(writer, "leaseSync", name, decide)


async def move(
    writer: Writer, name: str, position: dict[str, Any], *, holder: str, lease_s: float | None
) -> SyncCursor | None:
    """Write down how far it has come, and keep it for so long (`None` lets it go); nothing if it is another's now."""

    def decide(desk: Desk) -> SyncCursor | None:
        known = desk.found(SyncCursor, cursor_id(name)) or SyncCursor.begun(name, desk.now)
        kept = None if lease_s is None else timedelta(seconds=lease_s)
        moved = known.moved(holder, position, desk.now, kept)
        if moved is not None:
            desk.add(moved)
        return moved

    return await _submit(writer, "moveSync", name, decide)


async def position_of(name: str) -> dict[str, Any] | None:
    """Return how far a reading has come; nothing if it never began."""
    row = await SyncCursorModel.get_or_none(id=cursor_id(name))
    return None if row is None else dict(row.position)


async def _submit(writer: Writer, command: str, name: str, decide: Any) -> SyncCursor | None:
    rows = ((SyncCursor, cursor_id(name)),)
    outcome = await writer.submit(DeskCommand(command, READER, decide, rows=rows, repeatable=True))
    return outcome.answer if isinstance(outcome.answer, SyncCursor) else None
