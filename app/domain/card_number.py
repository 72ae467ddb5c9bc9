"""Card numbers, which have no place here: whoever keeps one answers for it to the card schemes."""

import re

from app.domain.errors import FieldInvalid

_GAPS = re.compile(r"[ -]")
_DIGITS = re.compile(r"[0-9]{13,19}")


def is_card_number(text: str) -> bool:
    """Return whether a text could be a card number: 13 to 19 digits, in groups or not, whose check digit fits."""
    digits = _GAPS.sub("", text)
    if not _DIGITS.fullmatch(digits):
        return False
    backwards = [int(digit) for digit in reversed(digits)]
    # Every second digit counts twice, and of what has two digits then, their sum.
    return (sum(backwards[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in backwards[1::2])) % 10 == 0


def check_token(token: str, *, field: tuple[str, ...]) -> str:
    """Return a token as it came, or raise `FieldInvalid` for a card number in the place of one."""
    if is_card_number(token):
        raise FieldInvalid(
            "This looks like a card number, which is never kept here. Give the token that stands for the card.",
            field=field,
        )
    return token
