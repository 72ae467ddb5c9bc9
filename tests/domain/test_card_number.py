"""A card number is told from a token."""

import pytest

from app.domain.card_number import check_token, is_card_number
from app.domain.errors import FieldInvalid


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "378282246310005",
        "6304000000000000000",
    ],
)
def test_card_numbers(text: str) -> None:
    assert is_card_number(text)
    with pytest.raises(FieldInvalid, match="card number") as refused:
        check_token(text, field=("paymentToken",))
    assert refused.value.field == ("paymentToken",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "17",
        "4111111111111112",
        "pm_4111111111111111",
        "411111111111",
        "41111111111111111111",
        "٤١١١١١١١١١١١١١١١",
        "tok-81",
    ],
)
def test_tokens(text: str) -> None:
    assert not is_card_number(text)
    assert check_token(text, field=("paymentToken",)) == text
