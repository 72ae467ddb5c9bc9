"""The demo's cashback rule is made before anything else."""

from datetime import datetime

from app.domain.access import Actor, ActorKind
from app.domain.cashback import registry
from app.domain.ledger import Desk
from app.domain.role import Role
from app.seed.awards import RULE
from app.seed.orders import Step
from app.services.ledger.command import DeskCommand, IdempotencyClaim
from app.services.ledger.writer import Writer

_JONAS = Actor(ActorKind.STAFF, "jonas")


def tell_cashback(day: int) -> list[Step]:
    """Return what is asked for: that the rule is made, before anything else."""
    return [Step(day, "seed:cashback:rule", _make_rule)]


async def _make_rule(writer: Writer, key: str, _now: datetime) -> None:
    def decide(desk: Desk) -> registry.StoredRule:
        return registry.create(
            desk, lambda _id: RULE, note="Agreed with the owner for this year", actor=_JONAS
        )

    claim = IdempotencyClaim.of(_JONAS, key, "createCashbackRule", {"key": key})
    tables = (Role, registry.StoredRule)
    await writer.submit(DeskCommand("createCashbackRule", _JONAS, decide, claim, tables=tables))
