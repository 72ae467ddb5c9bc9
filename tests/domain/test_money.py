"""Amounts: exactly or not at all."""

import re

import pytest
from hypothesis import given, strategies as st

from app.domain.errors import AmountNotPositive, AmountTooLarge, AmountTooPrecise, FieldInvalid
from app.domain.money import (
    AMOUNT_MAX_MINOR,
    BALANCE_MAX_MINOR,
    Currency,
    currency_of,
    is_decimal,
    parse_amount,
)

JPY, USD, BHD = currency_of("JPY"), currency_of("USD"), currency_of("BHD")
currencies = st.sampled_from((JPY, USD, BHD))


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1", USD, 100),
        ("0.01", USD, 1),
        ("25.00", USD, 2500),
        ("25.5", USD, 2550),
        ("1.500", USD, 150),
        ("0.1" + "0" * 5000, USD, 10),
        ("1", JPY, 1),
        ("1.0", JPY, 1),
        ("1", BHD, 1000),
        ("0.001", BHD, 1),
        ("10000000000000.00", USD, AMOUNT_MAX_MINOR),
        ("1000000000000000", JPY, AMOUNT_MAX_MINOR),
        ("1000000000000.000", BHD, AMOUNT_MAX_MINOR),
        ("9999999999999.99", USD, AMOUNT_MAX_MINOR - 1),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: Currency, minor: int) -> None:
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1e3", "1E3", "1_000", "1,000", "1.000,00", "NaN", "nan", "Infinity", "-Infinity", "inf", "١٢",
        "१२", "１２", "²", " 1", "1 ", "1\n", "\t1", "\ufeff1", "1\u00a0000", "+1", "+0", "01", "00", "00.1", "-01",
        ".5", "5.", ".", "-", "--1", "1.2.3", "0x10", "1/2", "$1", "1USD", "1\x00", "\u22121", "1\u066b5",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        parse_amount(text, USD, field=("input", "amount"))
    assert refused.value.field == ("input", "amount")
    assert not is_decimal(text)


@pytest.mark.parametrize("text", ["0", "-1", "-0", "0.00", "-0.00", "-0.01", "-" + "9" * 39])
def test_an_amount_is_positive(text: str) -> None:
    with pytest.raises(AmountNotPositive):
        parse_amount(text, USD)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("0.001", USD),
        ("1.005", USD),
        ("0." + "0" * 60 + "1", USD),
        ("1.5", JPY),
        ("0.0001", BHD),
        ("-0.001", USD),
    ],
)
def test_an_amount_is_never_rounded(text: str, currency: Currency) -> None:
    with pytest.raises(AmountTooPrecise) as refused:
        parse_amount(text, currency)
    assert str(currency.exponent) in refused.value.message or "no decimals" in refused.value.message


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("10000000000000.01", USD),
        ("1000000000000001", JPY),
        ("1000000000000.001", BHD),
        ("9" * 40, USD),
        ("9" * 41, USD),
        ("9" * 40 + ".00", BHD),
        ("9" * 100_000, USD),
    ],
)
def test_an_amount_has_a_largest(text: str, currency: Currency) -> None:
    with pytest.raises(AmountTooLarge) as refused:
        parse_amount(text, currency)
    assert len(refused.value.message) < 200


def test_what_is_shown_of_a_bad_amount_is_short() -> None:
    with pytest.raises(FieldInvalid) as refused:
        parse_amount("x" * 1_000_000, USD)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, USD, "0.00"), (5, USD, "0.05"), (-5, USD, "-0.05"), (100, USD, "1.00"), (-100, USD, "-1.00"),
        (0, JPY, "0"), (-7, JPY, "-7"), (1, BHD, "0.001"), (-1234, BHD, "-1.234"),
        (BALANCE_MAX_MINOR, USD, "90071992547409.91"),
    ],
)  # fmt: skip
def test_an_amount_is_written_with_all_its_decimals(minor: int, currency: Currency, text: str) -> None:
    assert currency.format(minor) == text
    assert currency.display(minor) == f"{text} {currency.code}"


@given(minor=st.integers(1, AMOUNT_MAX_MINOR), currency=currencies)
def test_what_is_written_is_read_again(minor: int, currency: Currency) -> None:
    text = currency.format(minor)
    assert parse_amount(text, currency) == minor
    assert is_decimal(text)
    assert is_decimal(currency.format(-minor))
    assert currency.format(-minor) == "-" + text


@given(
    text=st.text(max_size=50) | st.from_regex(r"-?[0-9]{0,20}\.?[0-9]{0,5}", fullmatch=True),
    currency=currencies,
)
def test_whatever_is_read_means_what_it_says(text: str, currency: Currency) -> None:
    try:
        minor = parse_amount(text, currency)
    except (AmountNotPositive, AmountTooLarge, AmountTooPrecise, FieldInvalid):
        return
    assert 0 < minor <= AMOUNT_MAX_MINOR
    assert re.fullmatch("[0-9.]+", text)
    written, plain = currency.format(minor), text
    assert written.rstrip("0").rstrip(".") == plain.rstrip("0").rstrip(".") or float(written) == float(plain)


@pytest.mark.parametrize(
    "code", ["", "usd", "Usd", "US", "USDD", "XYZ", "XXX", "XAU", "UYW", "CLF", " USD", "€"]
)
def test_a_currency_is_one_that_wallets_can_be_in(code: str) -> None:
    with pytest.raises(FieldInvalid):
        currency_of(code)


@pytest.mark.parametrize(
    ("code", "exponent"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("BHD", 3), ("KWD", 3)]
)
def test_exponents_are_those_of_the_standard(code: str, exponent: int) -> None:
    assert currency_of(code) == Currency(code, exponent)
