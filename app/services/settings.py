"""The store's own settings: read the version in force, write a new one."""

from dataclasses import dataclass, replace
from typing import Any

from app.domain.access import Actor
from app.domain.audit import AuditAction, AuditEntry, changes as audited
from app.domain.ledger import Desk, Row
from app.domain.settings import SettingsChange, StoreSettings
from app.models.settings import SettingsVersion
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.writer import Writer


@dataclass(frozen=True, slots=True)
class SettingsInForce:
    """The settings and, once anybody has changed them, the version that they come from."""

    settings: StoreSettings
    version: SettingsVersion | None


async def in_force() -> SettingsInForce:
    """Return the settings that decisions are made by now."""
    version = await SettingsVersion.all().order_by("-version").first()
    settings = StoreSettings() if version is None else StoreSettings.from_data(version.data)
    return SettingsInForce(settings, version)


async def update(
    writer: Writer, actor: Actor, changes: dict[str, Any], *, note: str, idempotency_key: str | None
) -> SettingsInForce:
    """Write a new version with the changes, if there are any; fields that aren't named stay. Raises `FieldInvalid`."""

    def decide(desk: Desk) -> Row | None:
        whole = dict(changes)
        if "withdrawals" in whole:
            # The terms are a part of their own: what isn't named of them stays too.
            whole["withdrawals"] = replace(desk.settings.withdrawals, **whole["withdrawals"])
        settings = replace(desk.settings, **whole)
        if settings == desk.settings:
            return None
        if settings.refund_destination is not desk.settings.refund_destination:
            settings = replace(settings, refund_destination_since=desk.now)
        change = SettingsChange(desk.mint.id(), settings, actor, note, desk.now)
        desk.add(change)
        data = audited("settings", desk.settings.as_data(), settings.as_data())
        entry = AuditEntry(desk.mint.id(), None, AuditAction.UPDATE_SETTINGS, actor, note, desk.now, data)
        desk.add(entry)
        return change

    claim = None
    if idempotency_key is not None:
        claim = IdempotencyClaim.of(actor, idempotency_key, "updateSettings", {**changes, "note": note})
    await writer.submit(DeskCommand("updateSettings", actor, decide, claim))
    return await in_force()
