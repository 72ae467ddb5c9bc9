"""What goes to the bank and what comes back: the rows of a batch, as CSV, and the bank's results."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from app.domain.errors import FieldInvalid
from app.domain.money import currency_of
from app.domain.withdrawal import PayoutOutcome, PayoutOutcomeKind

EXPORTED_MAX = 1_000
"""Withdrawals of one batch at most."""

RESULTS_MAX = 1_000
"""Lines of one file of results at most."""

RESULTS_SIZE_MAX = 500_000
"""Characters of one file of results at most."""

_TEXT_MAX = 128
_NOTE_MAX = 1_000

DETAILS: Mapping[str, str] = {
    "iban": "iban",
    "bic": "bic",
    "routing_number": "routingNumber",
    "account_number": "accountNumber",
    "email": "email",
    "provider_account": "account",
    "provider_token": "token",
    "instructions": "instructions",
}
"""The columns that say where the money goes, and the detail of a payout method that stands in each."""

COLUMNS = ("reference", "amount", "currency", "method", "name", *DETAILS, "customer")
"""The columns of an exported file."""

RESULT_COLUMNS = ("reference", "outcome", "bank_reference", "note")
"""The columns of a file of results; the last two may be missing."""

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class PayoutFileFormat(StrEnum):
    """In which form a batch is written for the bank."""

    CSV = "CSV"
    """A table, for people and for banks that read one."""
    PAIN_001 = "PAIN_001"
    """A SEPA credit transfer initiation by ISO 20022 (pain.001.001.09), for payouts in euros to bank accounts."""


@dataclass(frozen=True, slots=True)
class Payee:
    """Who is paid, and where to; without an account the bank can't be told, but people can."""

    name: str
    details: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of the payout method, by the names that callers use. They stay out of logs."""

    @property
    def iban(self) -> str | None:
        """The account, where it has an IBAN."""
        return self.details.get("iban")

    @property
    def bic(self) -> str | None:
        """The bank, where it was named."""
        return self.details.get("bic")


@dataclass(frozen=True, slots=True)
class Payout:
    """One row of a batch; the amount is what the customer is sent, in minor units."""

    reference: str
    amount_minor: int
    currency: str
    method: str
    payee: Payee
    customer: str
    """The store's own id of the customer."""


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line of the bank's results: what it says of a withdrawal, or why it can't be read."""

    line: int
    """Its number in the file, where the header is the first."""
    reference: str
    outcome: PayoutOutcome | None
    refusal: FieldInvalid | None = None


def batch_reference(scope: str, key: str) -> str:
    """Return the reference of the batch that a request stands for: the same for the same request."""
    number = int.from_bytes(sha256(f"{scope}\0{key}".encode()).digest()[:8])
    text = "".join(_DIGITS[number >> 5 * place & 31] for place in range(12))
    return f"PB-{text[:4]}-{text[4:8]}-{text[8:]}"


def as_csv(payouts: Iterable[Payout]) -> str:
    """Write payouts as a table with a header (RFC 4180)."""
    text = _Text()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for payout in payouts:
        amount = currency_of(payout.currency).format(payout.amount_minor)
        payee = payout.payee
        where = (payee.details.get(name, "") for name in DETAILS.values())
        words = (payout.method, payee.name, *where, payout.customer)
        writer.writerow((payout.reference, amount, payout.currency, *map(_harmless, words)))
    return "".join(text)


def payee_of(details: Mapping[str, str], customer: str) -> Payee:
    """Return who is paid by the details of a payout method: its holder, or the customer where it names none."""
    return Payee(details.get("holder") or customer, details)


class _Text(list[str]):
    """What a table is written to: no file is needed for it."""

    def write(self, part: str) -> int:
        """Take a part of the table."""
        self.append(part)
        return len(part)


def _harmless(text: str) -> str:
    # A spreadsheet would take such a name for a formula and work it out.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def read_results(content: str) -> list[ResultLine]:
    """Read the bank's results; a line that can't be read says so by itself. Raises `FieldInvalid` for no such file."""
    if len(content) > RESULTS_SIZE_MAX:
        raise _no_file(f"The file has more than {RESULTS_SIZE_MAX:,} characters. Send it in parts.")
    rows = csv.reader(content.removeprefix("\ufeff").splitlines(keepends=True))
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        lines = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _no_file(f"The file is no CSV: {error}. Send it just as the bank made it.") from None
    if not set(RESULT_COLUMNS[:2]) <= set(header):
        raise _no_file(f"The first line must name the columns. Write {','.join(RESULT_COLUMNS)} there.")
    if not 1 <= len(lines) <= RESULTS_MAX:
        raise _no_file(f"The file must have from 1 to {RESULTS_MAX} results. Send it in parts.")
    return [_result(number, dict(zip(header, row, strict=False))) for number, row in lines]


def _no_file(message: str) -> FieldInvalid:
    return FieldInvalid(message, field=("content",))


def _result(line: int, cells: dict[str, str]) -> ResultLine:
    reference, word, theirs, note = (cells.get(name, "").strip() for name in RESULT_COLUMNS)
    reference = reference.upper()[:_TEXT_MAX]
    texts = reference + theirs + note
    if not texts.isprintable() or len(theirs) > _TEXT_MAX or len(note) > _NOTE_MAX:
        return ResultLine(line, reference, None, _unreadable("A text is too long or has control characters."))
    kind = _OUTCOMES.get(word.upper())
    if kind is None:
        return ResultLine(
            line, reference, None, _unreadable(f"An outcome is one of {', '.join(_OUTCOMES)}, in any case.")
        )
    outcome = PayoutOutcome(kind, payout_reference=theirs or None, note=note or None)
    return ResultLine(line, reference, outcome)


_OUTCOMES = {
    str(kind): kind for kind in (PayoutOutcomeKind.PAID, PayoutOutcomeKind.FAILED, PayoutOutcomeKind.RETURNED)
}


def _unreadable(message: str) -> FieldInvalid:
    return FieldInvalid(f"{message} Send the line again, corrected.", field=("content",))
