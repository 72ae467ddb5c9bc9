"""Batches as SEPA credit transfers by ISO 20022, written by the library sepaxml and checked against the schema."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sepaxml import SepaTransfer
from text_unidecode import unidecode  # what sepaxml itself writes names by

from app.domain.payout_file import Payout

SCHEMA = "pain.001.001.09"
CURRENCY = "EUR"
"""What SEPA moves."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose account is debited."""

    name: str
    iban: str
    bic: str | None = None


class _Transfer(SepaTransfer):  # type: ignore[misc]  # the library has no types
    """A transfer whose message has an id of ours instead of one made up by the library."""

    def __init__(self, config: dict[str, object], reference: str) -> None:
        self._reference = reference
        super().__init__(config, schema=SCHEMA, clean=True)

    def _create_header(self) -> None:
        self.msg_id = self._reference
        super()._create_header()


def can_be_named(name: str) -> bool:
    """Whether anything is left of a name in the letters that banks exchange: one without makes the whole file invalid."""
    return bool(unidecode(name).strip())


def as_pain_001(payouts: Iterable[Payout], payer: Payer, *, reference: str, executed_on: date) -> str:
    """Write payouts to bank accounts; the batch's reference is the message's id, so a bank takes it once.

    Each payout must be in euros and have an IBAN.
    """
    config = {"name": payer.name, "IBAN": payer.iban, "batch": True, "currency": CURRENCY}
    if payer.bic:
        config["BIC"] = payer.bic
    transfer = _Transfer(config, reference)
    for payout in payouts:
        payment = {
            "name": payout.payee.name,
            "IBAN": payout.payee.iban,
            "amount": payout.amount_minor,
            "execution_date": executed_on,
            "description": payout.reference,
            "endtoend_id": payout.reference,
        }
        if payout.payee.bic:
            payment["BIC"] = payout.payee.bic
        transfer.add_payment(payment)
    written: bytes = transfer.export(validate=True)
    return written.decode()
