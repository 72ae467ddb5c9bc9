"""The rules in force, made ready once and kept in the process until a rule or the store's time zone changes."""

from dataclasses import dataclass

from app.domain.cashback.evaluation import RuleBook
from app.domain.cashback.expression import Expressions
from app.domain.cashback.rule import CashbackRule, RuleStatus
from app.domain.settings import StoreSettings
from app.models.cashback_rule import CashbackRule as RuleModel
from app.models.settings import SettingsVersion


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules that can give something now, with the settings that they are evaluated by."""

    book: RuleBook
    settings: StoreSettings


class RuleBooks:
    """The newest book of a process."""

    def __init__(self, expressions: Expressions) -> None:
        self.expressions = expressions
        """The language of the rules' expressions."""
        self._known: tuple[int, int] | None = None
        self._in_force: InForce | None = None

    async def in_force(self) -> InForce:
        """Return the rules in force, read anew only when something has changed since."""
        version = await SettingsVersion.all().order_by("-version").first()
        newest = await RuleModel.all().order_by("-revision").first().values_list("revision", flat=True)
        known = (0 if version is None else version.version, int(str(newest or 0)))
        if self._in_force is None or known != self._known:
            settings = StoreSettings() if version is None else StoreSettings.from_data(version.data)
            rows = await RuleModel.filter(status=str(RuleStatus.ACTIVE))
            rules = [CashbackRule.from_data(row.data) for row in rows]
            book = RuleBook(rules, time_zone=settings.time_zone, expressions=self.expressions)
            self._in_force, self._known = InForce(book, settings), known
        return self._in_force
