"""Files for the bank and from it: CSV, pain.001 and results."""

import csv
import io
from datetime import date
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st

from app.domain.errors import FieldInvalid
from app.domain.iban import read_bic, read_iban
from app.domain.payout_file import COLUMNS, Payee, Payout, as_csv, batch_reference, read_results
from app.domain.withdrawal import PayoutOutcomeKind
from app.pain001 import SCHEMA, Payer, as_pain_001

IBAN = "DE89370400440532013000"
PAYOUTS = [
    Payout(
        "WD-1",
        57_100,
        "EUR",
        "BANK_TRANSFER",
        Payee("Zoë Müller", {"iban": IBAN, "bic": "COBADEFFXXX"}),
        "c-1",
    ),
    Payout(
        "WD-2", 5, "EUR", "BANK_TRANSFER", Payee('=HYPERLINK("x")', {"iban": "NL91ABNA0417164300"}), "c-2"
    ),
]


def test_csv_is_a_table_and_no_spreadsheet_formula() -> None:
    header, first, second = csv.reader(io.StringIO(as_csv(PAYOUTS)))
    assert tuple(header) == COLUMNS
    named = ["WD-1", "571.00", "EUR", "BANK_TRANSFER", "Zoë Müller", IBAN, "COBADEFFXXX"]
    assert first == [*named, *[""] * 6, "c-1"]
    assert second[1] == "0.05"
    assert second[4].startswith("'=")


def test_pain_001_is_a_message_by_its_schema() -> None:
    """The library checks it against the schema; here it is that what we say stands in it."""
    payer = Payer("Café Bohne", IBAN, "COBADEFFXXX")
    text = as_pain_001(PAYOUTS, payer, reference="PB-7K3M-92QD-XA4P", executed_on=date(2026, 3, 2))
    root = ET.fromstring(text)  # noqa: S314 - our own
    name = f"{{urn:iso:std:iso:20022:tech:xsd:{SCHEMA}}}"
    assert [node.text for node in root.iter(f"{name}MsgId")] == ["PB-7K3M-92QD-XA4P"]
    assert [node.text for node in root.iter(f"{name}EndToEndId")] == ["WD-1", "WD-2"]
    assert [(node.text, node.get("Ccy")) for node in root.iter(f"{name}InstdAmt")] == [
        ("571.00", "EUR"),
        ("0.05", "EUR"),
    ]
    assert next(root.iter(f"{name}CtrlSum")).text == "571.05"
    assert [node.text for node in root.iter(f"{name}IBAN")] == [IBAN, IBAN, "NL91ABNA0417164300"]


def test_a_batch_has_one_reference() -> None:
    assert batch_reference("STAFF:mira", "k") == batch_reference("STAFF:mira", "k")
    assert (
        len({batch_reference("STAFF:mira", key) for key in "abc"} | {batch_reference("STAFF:jo", "a")}) == 4
    )


def test_results_line_by_line() -> None:
    lines = read_results(
        "\ufeffreference,outcome,bank_reference,note\r\nwd-1,paid,B-1,\r\n\r\nWD-2,Returned,,closed\nWD-3,LOST,,\nWD-4,FAILED,"
        + "b" * 129
        + ",\n"
    )
    told = [(line.line, line.reference, line.outcome and line.outcome.kind) for line in lines]
    assert told == [
        (2, "WD-1", PayoutOutcomeKind.PAID),
        (4, "WD-2", PayoutOutcomeKind.RETURNED),
        (5, "WD-3", None),
        (6, "WD-4", None),
    ]
    assert lines[0].outcome is not None
    assert lines[0].outcome.payout_reference == "B-1"
    assert lines[1].outcome is not None
    assert lines[1].outcome.note == "closed"
    assert "PAID, FAILED, RETURNED" in str(lines[2].refusal)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for content in (text, f"reference,outcome\n{text}"):
        try:
            lines = read_results(content)
        except FieldInvalid:
            continue
        assert all((line.outcome is None) != (line.refusal is None) for line in lines)


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("de89 3704 0044 0532 0130 00", IBAN),
        ("DE89370400440532013001", None),
        ("DE8937040044053201300", None),
        ("", None),
        ("DE٨٩370400440532013000", None),
    ],
)
def test_ibans(text: str, iban: str | None) -> None:
    assert read_iban(text) == iban


def test_bics() -> None:
    assert [read_bic(text) for text in ("cobadeff", "COBADEFFXXX", "COBA", "COBADEFFXX")] == [
        "COBADEFF",
        "COBADEFFXXX",
        None,
        None,
    ]
